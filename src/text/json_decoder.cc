// The decoder of tokenizer.json.
#include <fmt/format.h>

#include <utility>

#include "text/json_components.h"
#include "text/json_parts.h"
#include "text/space_mark.h"

namespace minerva::text {
namespace {

Result<void> add_replace(const JsonPart& part, PieceDecoder& out) {
  MINERVA_ASSIGN(const JsonPattern pattern, pattern_of(part));
  if (!pattern.regex.empty()) {
    return unsupported_tokenizer(
        fmt::format("{} of the expression {}", part.where(), quoted_piece(pattern.regex)));
  }
  MINERVA_ASSIGN(std::string by, replacement_of(*part.value, "content", "", part.where()));
  out.add(replace_decoder(std::string(pattern.literal), std::move(by)));
  return {};
}

Result<void> add_strip(const JsonPart& part, bool whole, PieceDecoder& out) {
  MINERVA_ASSIGN(std::string content, character_of(*part.value, "content", " ", part.where()));
  MINERVA_ASSIGN(const std::size_t left, count_of(*part.value, "start", 0, part.where()));
  MINERVA_ASSIGN(const std::size_t right, count_of(*part.value, "stop", 0, part.where()));
  if (whole) {
    out.strip_whole(std::move(content), left, right);
  } else {
    out.add(strip_decoder(std::move(content), left, right));
  }
  return {};
}

Result<void> add_metaspace(const JsonPart& part, PieceDecoder& out) {
  MINERVA_ASSIGN(std::string mark,
                 character_of(*part.value, "replacement", kSpaceMark, part.where()));
  MINERVA_ASSIGN(const auto scheme, metaspace_scheme(part));
  out.add(metaspace_decoder(std::move(mark), scheme != "never"));
  return {};
}

Result<void> add_word_piece(const JsonPart& part, PieceDecoder& out) {
  MINERVA_ASSIGN(std::string prefix, replacement_of(*part.value, "prefix", "##", part.where()));
  MINERVA_ASSIGN(const bool cleanup, flag_of(*part.value, "cleanup", true, part.where()));
  out.add(word_piece_decoder(std::move(prefix), cleanup));
  return {};
}

Result<void> add_suffix(const JsonPart& part, PieceDecoder& out) {
  MINERVA_ASSIGN(std::string suffix, replacement_of(*part.value, "suffix", "</w>", part.where()));
  out.add(suffix_decoder(std::move(suffix)));
  return {};
}

Result<void> add_part(const JsonPart& part, bool whole, PieceDecoder& out) {
  if (part.type == "Strip") return add_strip(part, whole, out);
  // Texts are handed out token by token.
  if (whole) return unsupported_tokenizer(fmt::format("{} after Fuse", part.where()));
  if (part.type == "Replace") return add_replace(part, out);
  if (part.type == "Metaspace") return add_metaspace(part, out);
  if (part.type == "WordPiece") return add_word_piece(part, out);
  if (part.type == "BPEDecoder") return add_suffix(part, out);
  if (part.type == "ByteLevel") {
    out.add(byte_level_decoder());
  } else if (part.type == "ByteFallback") {
    out.add(byte_fallback_decoder());
  } else {
    return unsupported_tokenizer(fmt::format("decoder {}", quoted_piece(part.type)));
  }
  return {};
}

}  // namespace

Result<PieceDecoder> read_decoder(const std::vector<JsonPart>& parts) {
  MINERVA_TRY(check_growth(parts));
  PieceDecoder out;
  if (parts.empty()) out.add(spaced_decoder());
  bool whole = false;
  for (const JsonPart& part : parts) {
    if (part.type == "Fuse") {
      whole = true;
    } else {
      MINERVA_TRY(add_part(part, whole, out));
    }
  }
  return out;
}

}  // namespace minerva::text
