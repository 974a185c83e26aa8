#include "text/json_components.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "text/space_mark.h"

namespace minerva::text {
namespace {

using json = nlohmann::json;

using Parts = std::vector<JsonPart>;

// A normalizer as the models of SentencePiece have it: whether a space comes in front, and whether
// spaces become U+2581. None: it does something else as well.
struct MarkedSpaces {
  bool in_front = false;
  bool marks = false;
};

Result<std::optional<MarkedSpaces>> read_marked_spaces(const Parts& parts) {
  MarkedSpaces out;
  for (const JsonPart& part : parts) {
    if (part.type == "Prepend" && !out.in_front && !out.marks) {
      MINERVA_ASSIGN(const auto text, string_of(*part.value, "prepend", "", part.where()));
      if (text != kSpaceMark) return std::nullopt;
      out.in_front = true;
    } else if (part.type == "Replace" && !out.marks) {
      MINERVA_ASSIGN(const JsonPattern pattern, pattern_of(part));
      MINERVA_ASSIGN(const auto by, string_of(*part.value, "content", "", part.where()));
      if (pattern.literal != " " || by != kSpaceMark) return std::nullopt;
      out.marks = true;
    } else {
      return std::nullopt;
    }
  }
  if (out.in_front && !out.marks) return std::nullopt;
  return out;
}

// Marked spaces in the normalizer or a Metaspace, and nothing else that cuts: a tokenizer that
// CharBpeModel does faster than the general parts.
Result<std::optional<CharBpe>> read_char_bpe(const Parts& normalizer, const Parts& pre_tokenizer) {
  MINERVA_ASSIGN(const auto spaces, read_marked_spaces(normalizer));
  if (!spaces || pre_tokenizer.size() > 1) return std::nullopt;
  CharBpe out;
  if (spaces->in_front) out.prefix = SpacePrefix::Always;
  if (pre_tokenizer.empty()) {
    if (!spaces->marks) return std::nullopt;
    return out;
  }
  const JsonPart& part = pre_tokenizer.front();
  if (part.type == "Split") {
    MINERVA_ASSIGN(const JsonPattern pattern, pattern_of(part));
    // Gemma's: no space is left to split at.
    if (!spaces->marks || pattern.literal != " ") return std::nullopt;
    return out;
  }
  if (part.type != "Metaspace") return std::nullopt;
  MINERVA_ASSIGN(const auto mark, string_of(*part.value, "replacement", kSpaceMark, part.where()));
  if (mark != kSpaceMark) return std::nullopt;
  MINERVA_ASSIGN(out.cut_at_spaces, flag_of(*part.value, "split", true, part.where()));
  MINERVA_ASSIGN(const auto scheme, metaspace_scheme(part));
  // A Metaspace after a normalizer that prepends finds a space there already.
  if (spaces->in_front) return out;
  if (scheme == "always") {
    out.prefix = SpacePrefix::UnlessThere;
  } else if (scheme == "first") {
    out.prefix = SpacePrefix::FirstUnlessThere;
  } else if (scheme != "never") {
    return std::nullopt;
  }
  return out;
}

bool all_of_type(const Parts& parts, std::initializer_list<std::string_view> types) {
  return std::ranges::all_of(parts, [&](const JsonPart& part) {
    return std::ranges::find(types, part.type) != types.end();
  });
}

// Whether the normalizer, of which CharBpe knows only the spaces between tokens, would change a
// token that is looked for in normalized text.
bool changes_added_token(const json& document, SpacePrefix prefix) {
  const auto added = document.find("added_tokens");
  if (added == document.end() || !added->is_array()) return false;
  return std::ranges::any_of(*added, [prefix](const json& token) {
    if (!token.is_object()) return false;
    const auto normalized = token.find("normalized");
    const auto content = token.find("content");
    if (normalized == token.end() || *normalized != true || content == token.end() ||
        !content->is_string()) {
      return false;
    }
    const auto& text = content->get_ref<const std::string&>();
    return prefix == SpacePrefix::Always || text.find(' ') != std::string::npos ||
           text.find(kSpaceMark) != std::string::npos;
  });
}

// BPE: of bytes, of characters, or of words in the general way.
Result<void> read_bpe(const json& document, const Parts& normalizer, const Parts& pre_tokenizer,
                      const Parts& decoder, JsonComponents& out) {
  const json& model = document.at("model");
  Pipeline pipeline;
  pipeline.kind = WordKind::Bpe;
  MINERVA_ASSIGN(pipeline.continuing_prefix,
                 replacement_of(model, "continuing_subword_prefix", "", "model"));
  MINERVA_ASSIGN(pipeline.end_suffix, replacement_of(model, "end_of_word_suffix", "", "model"));
  const bool plain = pipeline.continuing_prefix.empty() && pipeline.end_suffix.empty();
  MINERVA_ASSIGN(pipeline.byte_fallback, flag_of(model, "byte_fallback", false, "model"));
  if (plain && all_of_type(decoder, {"Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"}) &&
      !decoder.empty()) {
    MINERVA_ASSIGN(out.char_bpe, read_char_bpe(normalizer, pre_tokenizer));
    if (out.char_bpe && changes_added_token(document, out.char_bpe->prefix)) out.char_bpe.reset();
    if (out.char_bpe) {
      MINERVA_ASSIGN(out.char_bpe->decoder, read_decoder(decoder));
      return {};
    }
  }
  MINERVA_ASSIGN(out.normalizer, read_normalizer(normalizer));
  const bool decodes_bytes = all_of_type(decoder, {"ByteLevel"});
  MINERVA_ASSIGN(
      CutterAndBytes cut,
      read_pre_tokenizer(pre_tokenizer, plain && !pipeline.byte_fallback && decodes_bytes));
  if (cut.bytes) {
    WordCutter words;
    words.stages = cut.cutter->scanners();
    if (cut.cutter->stage_count() == 0) words.stages = {scan_all};
    if (words.stages.empty()) {
      out.byte_cutter = std::move(cut.cutter);
      words.stages = {scan_all};
    }
    out.word_cutter = std::move(words);
    return {};
  }
  pipeline.cutter = std::move(cut.cutter);
  MINERVA_ASSIGN(pipeline.decoder, read_decoder(decoder));
  out.pipeline = std::move(pipeline);
  return {};
}

Result<void> read_words(const json& document, WordKind kind, const Parts& normalizer,
                        const Parts& pre_tokenizer, const Parts& decoder, JsonComponents& out) {
  const json& model = document.at("model");
  Pipeline pipeline;
  pipeline.kind = kind;
  if (kind == WordKind::WordPiece) {
    MINERVA_ASSIGN(pipeline.continuing_prefix,
                   replacement_of(model, "continuing_subword_prefix", "##", "model"));
    MINERVA_ASSIGN(pipeline.word_characters_max,
                   count_of(model, "max_input_chars_per_word", 100, "model"));
    if (pipeline.word_characters_max > kWordCharactersMax) {
      return unsupported_tokenizer(fmt::format("model.max_input_chars_per_word {} (up to {} are)",
                                               pipeline.word_characters_max, kWordCharactersMax));
    }
  } else if (kind == WordKind::Unigram) {
    MINERVA_ASSIGN(pipeline.byte_fallback, flag_of(model, "byte_fallback", false, "model"));
  }
  MINERVA_ASSIGN(out.normalizer, read_normalizer(normalizer));
  MINERVA_ASSIGN(CutterAndBytes cut, read_pre_tokenizer(pre_tokenizer, false));
  pipeline.cutter = std::move(cut.cutter);
  MINERVA_ASSIGN(pipeline.decoder, read_decoder(decoder));
  out.pipeline = std::move(pipeline);
  return {};
}

}  // namespace

Result<JsonComponents> read_components(const json& document, WordKind kind) {
  MINERVA_ASSIGN(const Parts normalizer, parts_of(document, "normalizer", "normalizers"));
  MINERVA_ASSIGN(const Parts pre_tokenizer, parts_of(document, "pre_tokenizer", "pretokenizers"));
  MINERVA_ASSIGN(const Parts post_processor, parts_of(document, "post_processor", "processors"));
  MINERVA_ASSIGN(const Parts decoder, parts_of(document, "decoder", "decoders"));
  JsonComponents out;
  if (kind == WordKind::Bpe) {
    MINERVA_TRY(read_bpe(document, normalizer, pre_tokenizer, decoder, out));
  } else {
    MINERVA_TRY(read_words(document, kind, normalizer, pre_tokenizer, decoder, out));
  }
  MINERVA_ASSIGN(out.around, read_post_processor(post_processor));
  return out;
}

}  // namespace minerva::text
