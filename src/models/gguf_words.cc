// The models that take words whole: GGUF's t5 (Unigram) and bert (WordPiece).
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "models/gguf_tokenizer.h"
#include "text/charsmap.h"
#include "text/json_parts.h"
#include "text/space_mark.h"

namespace minerva::models {
namespace {

using text::JsonPart;
using text::kSpaceMark;
using text::TokenKind;

// A way through a token that is none must never be the best one.
constexpr float kNeverScore = -1e9F;

std::string names_of(const std::vector<JsonPart>& parts) {
  std::string out;
  for (const JsonPart& part : parts) out += (out.empty() ? "" : ", ") + escape_controls(part.type);
  return out;
}

// What of Unigram's normalizer and pre-tokenizer GGUF has words for.
struct SentenceCuts {
  std::string charsmap;
  bool strips_end = false;
  bool merges_spaces = false;  // several become one
  bool at_white_space = false;
  bool splits = false;  // each U+2581 begins a word
  std::string scheme;   // of the space in front
};

// A run of spaces, as the published files write it, which becomes one space or one U+2581.
Result<bool> is_space_run(const JsonPart& part) {
  MINERVA_ASSIGN(const text::JsonPattern pattern, text::pattern_of(part));
  MINERVA_ASSIGN(const auto by, text::string_of(*part.value, "content", "", part.where()));
  return (pattern.regex == " {2,}" || pattern.regex == " +") && (by == " " || by == kSpaceMark);
}

Result<SentenceCuts> read_cuts(const nlohmann::json& document) {
  SentenceCuts out;
  MINERVA_ASSIGN(const auto normalizer, text::parts_of(document, "normalizer", "normalizers"));
  for (const JsonPart& part : normalizer) {
    bool known = false;
    if (part.type == "Precompiled" && &part == normalizer.data()) {
      MINERVA_ASSIGN(const auto base64,
                     text::string_of(*part.value, "precompiled_charsmap", "", part.where()));
      MINERVA_ASSIGN(out.charsmap, text::bytes_of_base64(base64));
      known = true;
    } else if (part.type == "Strip") {
      MINERVA_ASSIGN(const bool left, text::flag_of(*part.value, "strip_left", true, part.where()));
      MINERVA_ASSIGN(out.strips_end, text::flag_of(*part.value, "strip_right", true, part.where()));
      known = !left && out.strips_end;
    } else if (part.type == "Replace") {
      MINERVA_ASSIGN(known, is_space_run(part));
      out.merges_spaces = known;
    }
    if (!known)
      return not_in_gguf(fmt::format("its normalizer ({}) before a Unigram", names_of(normalizer)));
  }
  MINERVA_ASSIGN(const auto cutters, text::parts_of(document, "pre_tokenizer", "pretokenizers"));
  for (const JsonPart& part : cutters) {
    if (part.type == "WhitespaceSplit" && &part == cutters.data()) {
      out.at_white_space = true;
    } else if (part.type == "Metaspace" && &part == &cutters.back()) {
      MINERVA_ASSIGN(const auto mark,
                     text::string_of(*part.value, "replacement", kSpaceMark, part.where()));
      if (mark != kSpaceMark) return not_in_gguf("a mark of spaces other than U+2581");
      MINERVA_ASSIGN(out.scheme, text::metaspace_scheme(part));
      MINERVA_ASSIGN(out.splits, text::flag_of(*part.value, "split", true, part.where()));
    } else {
      return not_in_gguf(fmt::format("its pre_tokenizer ({}) before a Unigram", names_of(cutters)));
    }
  }
  if (out.scheme.empty()) return not_in_gguf("a Unigram without a pre_tokenizer Metaspace");
  return out;
}

Result<void> check_cuts(GgufTokenizer& out, SentenceCuts& cuts) {
  if (cuts.at_white_space && cuts.charsmap.empty())
    return not_in_gguf("WhitespaceSplit without a charsmap that makes all white space spaces");
  cuts.merges_spaces = cuts.merges_spaces || cuts.at_white_space;
  if (cuts.merges_spaces && cuts.scheme != "always")
    return not_in_gguf("a normalizer that merges spaces with a Metaspace that puts none in front");
  if (cuts.merges_spaces && !cuts.at_white_space && !cuts.strips_end) {
    out.spaces_differ = true;
    out.notes.emplace_back(
        "a space that ends a text is a token in the folder's tokenizer, and "
        "nothing in GGUF's");
  }
  if (!cuts.merges_spaces && cuts.strips_end)
    return not_in_gguf("a normalizer Strip that merges no spaces");
  if (!cuts.merges_spaces && cuts.scheme != "never") {
    out.spaces_differ = true;
    out.notes.push_back(fmt::format(
        "GGUF puts a space before every text and after every special token; the folder's tokenizer "
        "{}not where there is one already",
        cuts.scheme == "first" ? "does so only at the beginning, and " : "does "));
  }
  for (std::size_t id = 0; cuts.splits && id < out.source().pieces.size(); ++id) {
    const std::string_view piece = out.source().pieces[id];
    if (out.is_normal(id) && piece.find(kSpaceMark, 1) != std::string_view::npos) {
      return not_in_gguf(fmt::format("a Metaspace that cuts inside of the token \"{}\"",
                                     escape_controls(piece.substr(0, 60))));
    }
  }
  return {};
}

}  // namespace

Result<void> write_unigram(GgufTokenizer& out) {
  MINERVA_ASSIGN(SentenceCuts cuts, read_cuts(out.folder.document()));
  MINERVA_TRY(check_cuts(out, cuts));
  if (!out.source().missing) return not_in_gguf("a Unigram without an unknown token (unk_id)");
  std::vector<float> scores(out.pieces.size(), kNeverScore);
  bool rounded = false;
  for (std::size_t id = 0; id < out.source().pieces.size(); ++id) {
    if (out.tokenizer.kind(static_cast<TokenId>(id)) == TokenKind::Unused) continue;
    const double score = out.source().log_probabilities[id];
    scores[id] = static_cast<float>(score);
    rounded = rounded || static_cast<double>(scores[id]) != score;
  }
  if (rounded) {
    out.notes.emplace_back(
        "GGUF rounds the scores to 32 bits, which decides between ways that "
        "are as good as each other");
  }
  out.keys.add_string("tokenizer.ggml.model", "t5");
  out.keys.add_string("tokenizer.ggml.pre", "default");
  out.keys.add_f32s("tokenizer.ggml.scores", scores);
  out.keys.add_bool("tokenizer.ggml.add_space_prefix", cuts.scheme != "never");
  out.keys.add_bool("tokenizer.ggml.remove_extra_whitespaces", cuts.merges_spaces);
  if (!cuts.charsmap.empty()) {
    out.keys.add_u8s("tokenizer.ggml.precompiled_charsmap",
                     std::as_bytes(std::span(cuts.charsmap)));
  }
  return {};
}

Result<void> write_word_piece(GgufTokenizer& out) {
  const nlohmann::json& document = out.folder.document();
  MINERVA_ASSIGN(const auto normalizer, text::parts_of(document, "normalizer", "normalizers"));
  MINERVA_ASSIGN(const auto cutters, text::parts_of(document, "pre_tokenizer", "pretokenizers"));
  if (normalizer.size() != 1 || normalizer[0].type != "BertNormalizer" || cutters.size() != 1 ||
      cutters[0].type != "BertPreTokenizer") {
    return not_in_gguf(
        fmt::format("a WordPiece after the normalizer ({}) and pre_tokenizer ({}), "
                    "which are not BertNormalizer and BertPreTokenizer,",
                    names_of(normalizer), names_of(cutters)));
  }
  const JsonPart& bert = normalizer[0];
  for (const char* key : {"clean_text", "handle_chinese_chars"}) {
    MINERVA_ASSIGN(const bool set, text::flag_of(*bert.value, key, true, bert.where()));
    if (!set) return not_in_gguf(fmt::format("BertNormalizer with {} off", key));
  }
  MINERVA_ASSIGN(const bool lowercase, text::flag_of(*bert.value, "lowercase", true, bert.where()));
  MINERVA_ASSIGN(const bool accents,
                 text::flag_of(*bert.value, "strip_accents", lowercase, bert.where()));
  const text::Pipeline& pipeline = *out.source().pipeline;
  if (pipeline.continuing_prefix != "##")
    return not_in_gguf("continuing_subword_prefix other than ##");
  if (!out.source().missing) return not_in_gguf("a WordPiece without an unk_token");
  for (std::size_t id = 0; id < out.source().pieces.size(); ++id) {
    if (!out.is_normal(id)) continue;
    std::string& piece = out.pieces[id];
    piece = piece.starts_with("##") ? piece.substr(2) : std::string(kSpaceMark) + piece;
  }
  out.keys.add_string("tokenizer.ggml.model", "bert");
  out.keys.add_string("tokenizer.ggml.pre", "default");
  out.keys.add_bool("tokenizer.ggml.normalizer.lowercase", lowercase);
  out.keys.add_bool("tokenizer.ggml.normalizer.strip_accents", accents);
  const auto add_id = [&](const char* key, std::optional<TokenId> id) {
    if (id) out.keys.add_u32(key, static_cast<std::uint32_t>(*id));
  };
  add_id("tokenizer.ggml.cls_token_id", out.tokenizer.bos());
  add_id("tokenizer.ggml.seperator_token_id", out.tokenizer.eos());  // spelled so
  add_id("tokenizer.ggml.mask_token_id", out.tokenizer.find("[MASK]"));
  return {};
}

}  // namespace minerva::models
