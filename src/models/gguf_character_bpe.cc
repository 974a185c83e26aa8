// BPE over characters. GGUF's llama joins the pair whose whole has the best score, which is what
// SentencePiece does, and has a score for each token; gemma4 has the list of merges.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/log.h"
#include "base/utf8.h"
#include "models/gguf_tokenizer.h"
#include "text/space_mark.h"

namespace minerva::models {
namespace {

using text::kSpaceMark;
using text::SpacePrefix;

constexpr float kNoScore = -1e7F;  // below every merge's
constexpr std::size_t kPieceBytesMax = 1024;

std::string shown(std::string_view piece) {
  return fmt::format("\"{}\"", escape_controls(piece.substr(0, 60)));
}

bool is_text(const GgufTokenizer& out, std::size_t id) {
  const text::TokenKind kind = out.tokenizer.kind(static_cast<TokenId>(id));
  return id < out.tokenizer.vocab_size() && text::is_plain_text(kind) &&
         kind != text::TokenKind::Byte && !out.source().pieces[id].empty();
}

std::uint64_t pair_of(std::uint64_t left, std::uint64_t right) { return left << 32 | right; }

// Why scores would not join what the merges do; nothing when they do. They do when each token has
// all its ways to be joined in the list, side by side.
std::optional<std::string> why_not_scores(const GgufTokenizer& out) {
  const text::VocabularySource& source = out.source();
  std::unordered_set<std::uint64_t> listed;
  std::unordered_set<std::uint32_t> finished;
  std::uint32_t current = 0;
  for (std::size_t i = 0; i < source.merge_ids.size(); ++i) {
    const text::MergeIds& merge = source.merge_ids[i];
    listed.insert(pair_of(merge.left, merge.right));
    if (i > 0 && merge.merged == current) continue;
    if (!finished.insert(merge.merged).second) {
      return fmt::format("its merges to {} stand at two places of the list",
                         shown(source.pieces[merge.merged]));
    }
    current = merge.merged;
  }
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t id = 0; id < source.pieces.size(); ++id)
    if (is_text(out, id)) ids.emplace(source.pieces[id], id);
  for (const auto& [piece, id] : ids) {
    // Text never holds the others: they are looked for before.
    if (!out.is_normal(id)) continue;
    // All ways to cut it are looked at.
    if (piece.size() > kPieceBytesMax)
      return fmt::format("its token {} has {} bytes", shown(piece), piece.size());
    for (std::size_t at = utf8_next(piece).length; at < piece.size();
         at += utf8_next(piece.substr(at)).length) {
      const auto left = ids.find(piece.substr(0, at));
      const auto right = ids.find(piece.substr(at));
      if (left == ids.end() || right == ids.end()) continue;
      if (!listed.contains(pair_of(left->second, right->second))) {
        return fmt::format("its merges leave out {} with {}", shown(left->first),
                           shown(right->first));
      }
    }
  }
  return std::nullopt;
}

// A Metaspace that cuts keeps words apart that scores would join.
std::optional<std::string> why_not_uncut(const GgufTokenizer& out) {
  for (std::size_t id = 0; id < out.source().pieces.size(); ++id) {
    const std::string_view piece = out.source().pieces[id];
    if (out.is_normal(id) && piece.find(kSpaceMark, 1) != std::string_view::npos) {
      return fmt::format("its pre_tokenizer Metaspace cuts inside of the token {}", shown(piece));
    }
  }
  return std::nullopt;
}

void write_scores(GgufTokenizer& out) {
  const text::VocabularySource& source = out.source();
  std::vector<float> scores(out.pieces.size(), kNoScore);
  float next = 0;
  for (const text::MergeIds& merge : source.merge_ids) {
    float& score = scores[merge.merged];
    if (score == kNoScore) score = next--;
  }
  const SpacePrefix prefix = source.char_bpe->prefix;
  if (prefix == SpacePrefix::UnlessThere || prefix == SpacePrefix::FirstUnlessThere) {
    out.spaces_differ = true;
    out.notes.push_back(fmt::format(
        "GGUF puts a space before every text and after every special token; the folder's tokenizer "
        "{}not where there is one already",
        prefix == SpacePrefix::FirstUnlessThere ? "does so only at the beginning, and " : "does "));
  }
  out.keys.add_string("tokenizer.ggml.model", "llama");
  out.keys.add_string("tokenizer.ggml.pre", "default");
  out.keys.add_f32s("tokenizer.ggml.scores", scores);
  out.keys.add_bool("tokenizer.ggml.add_space_prefix", prefix != SpacePrefix::None);
}

// GGUF's gemma4 takes newlines side by side as a word, a token where there is one.
std::optional<std::string> why_not_gemma4(const GgufTokenizer& out) {
  const text::CharBpe& how = *out.source().char_bpe;
  if (how.prefix != SpacePrefix::None || how.cut_at_spaces)
    return "its pre_tokenizer or normalizer puts a space in front or cuts at spaces";
  for (std::size_t id = 0; id < out.source().pieces.size(); ++id) {
    const std::string_view piece = out.source().pieces[id];
    const auto newlines = std::ranges::count(piece, '\n');
    if (!out.is_normal(id) || newlines == 0) continue;
    const bool only = static_cast<std::size_t>(newlines) == piece.size();
    const auto ids = out.tokenizer.encode(piece);
    if (!only || !ids || *ids != std::vector{static_cast<TokenId>(id)})
      return fmt::format("the token {} has newlines and is not what they become", shown(piece));
  }
  return std::nullopt;
}

}  // namespace

Result<void> write_character_bpe(GgufTokenizer& out) {
  const text::CharBpe& how = *out.source().char_bpe;
  if (how.ignore_merges) return not_in_gguf("ignore_merges of a model of characters");
  if (!how.byte_fallback) return not_in_gguf("a model of characters without byte_fallback");
  auto problem = why_not_scores(out);
  if (!problem && how.cut_at_spaces) problem = why_not_uncut(out);
  if (!problem) {
    write_scores(out);
    return {};
  }
  if (const auto neither = why_not_gemma4(out))
    return not_in_gguf(
        fmt::format("{}, and {}: a model of characters like this", *problem, *neither));
  out.keys.add_string("tokenizer.ggml.model", "gemma4");
  return add_merges(out);
}

}  // namespace minerva::models
