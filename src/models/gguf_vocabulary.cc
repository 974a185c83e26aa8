#include "models/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "formats/gguf.h"
#include "models/gguf_tokenizer.h"
#include "models/tokenizer_files.h"

namespace minerva::models {
namespace {

using text::TokenKind;
using text::WordKind;

// How GGUF numbers the kinds of tokens.
std::int32_t kind_number(TokenKind kind) {
  switch (kind) {
    case TokenKind::Normal:
      return 1;
    case TokenKind::Unknown:
      return 2;
    case TokenKind::Control:
      return 3;
    case TokenKind::UserDefined:
      return 4;
    case TokenKind::Unused:
      return 5;
    case TokenKind::Byte:
      return 6;
  }
  return 5;
}

void place_pieces(GgufTokenizer& out, std::uint64_t rows) {
  const std::size_t tokens = std::max<std::size_t>(out.tokenizer.vocab_size(), rows);
  for (std::size_t id = 0; id < tokens; ++id) {
    const auto token = static_cast<TokenId>(id);
    std::string piece(out.tokenizer.piece(token));
    if (piece.empty()) piece = fmt::format("[PAD{}]", id);
    out.pieces.push_back(std::move(piece));
    out.kinds.push_back(kind_number(out.tokenizer.kind(token)));
  }
}

Result<void> write_model(GgufTokenizer& out) {
  const text::VocabularySource& source = out.source();
  if (source.char_bpe) return write_character_bpe(out);
  if (!source.pipeline) return write_byte_bpe(out);
  switch (source.pipeline->kind) {
    case WordKind::Unigram:
      return write_unigram(out);
    case WordKind::WordPiece:
      return write_word_piece(out);
    case WordKind::WordLevel:
      return not_in_gguf("its model WordLevel");
    case WordKind::Bpe:
      break;
  }
  return not_in_gguf("its model, a BPE of characters in words or with marks at their ends,");
}

// Special tokens that take the white space around them, or want a word's border there.
void note_matching(GgufTokenizer& out) {
  constexpr std::uint8_t kUnsaid =
      text::kTakesSpaceLeft | text::kTakesSpaceRight | text::kWholeWord;
  const std::vector<std::uint8_t>& matching = out.source().matching;
  const auto differs = [](std::uint8_t bits) { return (bits & kUnsaid) != 0; };
  const auto first = std::ranges::find_if(matching, differs);
  if (first == matching.end()) return;
  const auto id = static_cast<std::size_t>(first - matching.begin());
  out.notes.push_back(fmt::format(
      "{} special tokens, \"{}\" for one, take white space beside them along (lstrip, rstrip) or "
      "stand only between words (single_word), which GGUF has no words for",
      std::ranges::count_if(matching, differs), escape_controls(out.pieces[id].substr(0, 60))));
}

void note_surroundings(GgufTokenizer& out) {
  const text::VocabularySource& source = out.source();
  const auto too_many = [](const std::vector<std::uint64_t>& ids, bool adds,
                           std::optional<TokenId> one) {
    return adds && (ids.size() > 1 || (ids.size() == 1 && !one));
  };
  if (!too_many(source.before, source.add_bos.value_or(false), out.tokenizer.bos()) &&
      !too_many(source.after, source.add_eos.value_or(false), out.tokenizer.eos())) {
    return;
  }
  out.surroundings_differ = true;
  const auto names = [&](const std::vector<std::uint64_t>& ids) {
    std::string all;
    for (const std::uint64_t id : ids) all += escape_controls(out.pieces[id]);
    return all;
  };
  out.notes.push_back(fmt::format(
      "the tokenizer puts \"{}\" before and \"{}\" after a text, and GGUF has a word for one token "
      "on each side: a chat template that writes them is needed",
      names(source.before), names(source.after)));
}

void add_id(GgufTokenizer& out, std::string_view name, std::optional<TokenId> id) {
  if (!id) return;
  out.keys.add_u32(fmt::format("tokenizer.ggml.{}_token_id", name),
                   static_cast<std::uint32_t>(*id));
}

void write_tokens(GgufTokenizer& out) {
  const text::Tokenizer& tokenizer = out.tokenizer;
  out.keys.add_strings("tokenizer.ggml.tokens",
                       std::vector<std::string_view>(out.pieces.begin(), out.pieces.end()));
  out.keys.add_i32s("tokenizer.ggml.token_type", out.kinds);
  add_id(out, "bos", tokenizer.bos());
  add_id(out, "eos", tokenizer.eos());
  add_id(out, "unknown", tokenizer.unk());
  add_id(out, "padding", tokenizer.pad());
  const bool more_before = out.source().before.size() > 1;
  const bool more_after = out.source().after.size() > 1;
  out.keys.add_bool("tokenizer.ggml.add_bos_token", tokenizer.adds_bos() && !more_before);
  out.keys.add_bool("tokenizer.ggml.add_eos_token", tokenizer.adds_eos() && !more_after);
}

Result<std::shared_ptr<const text::Tokenizer>> read_again(const formats::GgufMetadata& keys) {
  MINERVA_ASSIGN(const auto file, formats::GgufFile::parse(keys.file()));
  return text::Tokenizer::from_gguf(*file);
}

// GGUF names three tokens that end an answer, and others are known by their look.
Result<void> write_ends(GgufTokenizer& out) {
  const text::Tokenizer& tokenizer = out.tokenizer;
  MINERVA_ASSIGN(const auto file, read_again(out.keys));
  std::vector<TokenId> missing;
  for (const TokenId id : tokenizer.end_of_generation())
    if (!file->is_end_of_generation(id)) missing.push_back(id);
  // The end of a turn is told apart only where it is another one than the end of a text.
  std::optional<TokenId> eot = tokenizer.eot();
  if (!missing.empty() && (!eot || eot == tokenizer.eos())) eot = missing.front();
  add_id(out, "eot", eot);
  std::erase_if(missing, [eot](TokenId id) { return id == eot; });
  if (!missing.empty()) {
    add_id(out, "eom", missing.front());
    missing.erase(missing.begin());
  }
  for (const TokenId id : missing) {
    out.notes.push_back(fmt::format("\"{}\" ends an answer too, which GGUF has no word for",
                                    escape_controls(tokenizer.piece(id).substr(0, 60))));
  }
  return {};
}

}  // namespace

bool GgufTokenizer::is_normal(std::size_t id) const {
  return id < tokenizer.vocab_size() && !source().pieces[id].empty() &&
         tokenizer.kind(static_cast<TokenId>(id)) == TokenKind::Normal;
}

std::unexpected<Error> not_in_gguf(std::string_view what) {
  return fail(ErrorCode::Unsupported,
              fmt::format("tokenizer.json: {} cannot be written to a GGUF file", what),
              "tokenizer.json");
}

Result<std::vector<std::string>> add_vocabulary_keys(const std::string& folder,
                                                     const LoadedVocabulary& vocabulary,
                                                     std::uint64_t rows,
                                                     formats::GgufMetadata& metadata) {
  MINERVA_ASSIGN(const FolderTokenizerFiles files, open_tokenizer_files(folder));
  text::JsonVocabulary json;
  if (auto read = json.read(files.views()); !read) return fail(std::move(read).error().in(folder));
  formats::GgufMetadata keys;
  GgufTokenizer out(json, *vocabulary.tokenizer, keys);
  place_pieces(out, rows);
  MINERVA_TRY(write_model(out));
  note_matching(out);
  note_surroundings(out);
  write_tokens(out);
  MINERVA_TRY(write_ends(out));
  if (!vocabulary.chat_template.empty())
    keys.add_string("tokenizer.chat_template", vocabulary.chat_template);
  MINERVA_ASSIGN(const auto file, formats::GgufFile::parse(keys.file()));
  MINERVA_ASSIGN(const auto again, text::Tokenizer::from_gguf(*file));
  MINERVA_TRY(check_same_ids(out, *again));
  for (const formats::GgufKeyValue& entry : file->metadata()) metadata.add(entry.key, entry.value);
  return std::move(out.notes);
}

}  // namespace minerva::models
