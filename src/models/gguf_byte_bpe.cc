// BPE over bytes: GGUF's gpt2, and what both kinds of BPE share.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "base/log.h"
#include "base/utf8.h"
#include "models/gguf_tokenizer.h"
#include "text/byte_alphabet.h"
#include "text/json_parts.h"
#include "text/pre_tokenizer.h"

namespace minerva::models {
namespace {

constexpr std::size_t kShownBytesMax = 200;

// "Split (EXPRESSION), ByteLevel", for messages.
std::string describe(const std::vector<text::JsonPart>& parts) {
  std::string out;
  for (const text::JsonPart& part : parts) {
    out += out.empty() ? "" : ", ";
    out += part.type;
    const auto pattern = text::pattern_of(part);
    if (part.type == "Split" && pattern)
      out += fmt::format(" ({}{})", pattern->regex, pattern->literal);
  }
  return escape_controls(std::string_view(out).substr(0, kShownBytesMax));
}

Result<void> check_normalizer(GgufTokenizer& out) {
  MINERVA_ASSIGN(const auto parts,
                 text::parts_of(out.folder.document(), "normalizer", "normalizers"));
  for (const text::JsonPart& part : parts) {
    if (part.type != "NFC")
      return not_in_gguf(fmt::format("its normalizer {}", escape_controls(part.type)));
  }
  if (!parts.empty()) {
    out.notes.emplace_back(
        "the tokenizer brings texts into the form NFC first, which GGUF has no word for: only "
        "texts that are not in that form already become other tokens");
  }
  return {};
}

// A byte without a token is dropped in GGUF's terms, and an unknown token here.
Result<void> check_bytes(const GgufTokenizer& out) {
  if (!out.source().missing) return {};
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string letter;
    utf8_append(letter, text::letter_of_byte(static_cast<std::uint8_t>(byte)));
    if (!out.tokenizer.find(letter))
      return not_in_gguf(fmt::format("model.unk_token in place of byte 0x{:02x}", byte));
  }
  return {};
}

}  // namespace

Result<void> add_merges(GgufTokenizer& out) {
  const std::vector<text::MergeIds>& merges = out.source().merge_ids;
  // Of equal pairs the last one counts in tokenizer.json, and the first one here.
  std::unordered_set<std::uint64_t> seen;
  std::vector<std::string> lines;
  for (std::size_t i = merges.size(); i-- > 0;) {
    const text::MergeIds& merge = merges[i];
    if (!seen.insert(std::uint64_t{merge.left} << 32 | merge.right).second) continue;
    const std::string& left = out.pieces[merge.left];
    const std::string& right = out.pieces[merge.right];
    if (left.contains(' ') || right.contains(' ')) {
      return not_in_gguf(fmt::format("a space inside of model.merges[{}], \"{}\" and \"{}\",", i,
                                     escape_controls(left), escape_controls(right)));
    }
    lines.push_back(fmt::format("{} {}", left, right));
  }
  std::ranges::reverse(lines);
  out.keys.add_strings("tokenizer.ggml.merges",
                       std::vector<std::string_view>(lines.begin(), lines.end()));
  return {};
}

Result<void> write_byte_bpe(GgufTokenizer& out) {
  const text::VocabularySource& source = out.source();
  const std::string_view pre =
      source.byte_cutter ? std::string_view() : text::name_of_cutter(*source.word_cutter);
  if (pre.empty()) {
    MINERVA_ASSIGN(const auto parts,
                   text::parts_of(out.folder.document(), "pre_tokenizer", "pretokenizers"));
    return not_in_gguf(fmt::format(
        "its pre_tokenizer, {}{}, for which tokenizer.ggml.pre has no name that is known,",
        describe(parts), source.word_cutter->ignore_merges ? " with ignore_merges" : ""));
  }
  MINERVA_TRY(check_normalizer(out));
  MINERVA_TRY(check_bytes(out));
  out.keys.add_string("tokenizer.ggml.model", "gpt2");
  out.keys.add_string("tokenizer.ggml.pre", pre);
  return add_merges(out);
}

}  // namespace minerva::models
