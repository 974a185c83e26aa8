// The GGUF models that need more than their tokens: bert, t5, gemma4.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "formats/gguf.h"
#include "text/charsmap.h"
#include "text/json_components.h"
#include "text/space_mark.h"
#include "text/vocabulary_gguf.h"

namespace minerva::text {
namespace {

std::optional<std::uint64_t> find_piece(const VocabularySource& source, std::string_view piece) {
  const auto found = std::ranges::find(source.pieces, piece);
  if (found == source.pieces.end()) return std::nullopt;
  return static_cast<std::uint64_t>(found - source.pieces.begin());
}

Result<std::optional<std::uint64_t>> id_of_key(const formats::GgufFile& file,
                                               std::string_view key) {
  if (!file.has(key)) return std::nullopt;
  MINERVA_ASSIGN(const std::uint64_t id, file.get_uint(key));
  return id;
}

// WordPiece, its words written with U+2581 in front, cut as BERT cuts.
Result<void> read_bert(const formats::GgufFile& file, VocabularySource& source) {
  Pipeline pipeline;
  pipeline.kind = WordKind::WordPiece;
  pipeline.marks_word_starts = true;
  auto cutter = std::make_shared<TextCutter>();
  add_bert_stages(*cutter);
  pipeline.cutter = std::move(cutter);
  // As WordPiece's decoder expects them.
  pipeline.decoder.add([](std::string& token, TokenPlace) {
    if (token.starts_with(kSpaceMark)) {
      token.erase(0, kSpaceMark.size());
    } else if (!(token.starts_with('[') && token.ends_with(']'))) {
      token.insert(0, "##");
    }
  });
  pipeline.decoder.add(word_piece_decoder("##", true));
  source.pipeline = std::move(pipeline);

  BertNormalization options;
  MINERVA_ASSIGN(options.lowercase,
                 file.get_bool_or("tokenizer.ggml.normalizer.lowercase", options.lowercase));
  MINERVA_ASSIGN(options.strip_accents,
                 file.get_bool_or("tokenizer.ggml.normalizer.strip_accents", options.lowercase));
  auto normalizer = std::make_shared<Normalizer>();
  normalizer->add(bert_step(options));
  source.normalizer = std::move(normalizer);

  // Files name the first token by either key; older ones spell the other one so.
  MINERVA_ASSIGN(auto cls, id_of_key(file, "tokenizer.ggml.cls_token_id"));
  MINERVA_ASSIGN(auto sep, id_of_key(file, "tokenizer.ggml.seperator_token_id"));
  if (!cls) cls = source.bos ? source.bos : find_piece(source, "[CLS]");
  if (!sep) sep = source.eos ? source.eos : find_piece(source, "[SEP]");
  if (!source.unk) source.unk = find_piece(source, "[UNK]");
  source.missing = source.unk;
  source.bos = cls;
  source.eos = sep;
  if (cls) source.before = {*cls};
  if (sep) source.after = {*sep};
  if (!source.add_bos) source.add_bos = cls.has_value();
  if (!source.add_eos) {
    MINERVA_ASSIGN(source.add_eos,
                   file.get_bool_or("tokenizer.ggml.add_sep_token", sep.has_value()));
  }
  return {};
}

// How SentencePiece prepares a text: rewritten, each run of spaces one U+2581 (or each space).
Normalizer::Step sentence_step(std::shared_ptr<const Charsmap> map, bool prefix, bool merges) {
  return [map = std::move(map), prefix, merges](std::string& text) -> Result<void> {
    const std::string rewritten = map->longest(text);
    std::string out;
    out.reserve(rewritten.size() + rewritten.size() / 2);
    bool in_word = false;
    bool first = true;
    for (const char c : rewritten) {
      if (c == ' ') {
        in_word = false;
        if (!merges) out += kSpaceMark;
        continue;
      }
      if (!in_word && (merges || (prefix && first))) out += kSpaceMark;
      in_word = true;
      first = false;
      out += c;
    }
    text = std::move(out);
    return {};
  };
}

// Unigram.
Result<void> read_t5(const formats::GgufFile& file, VocabularySource& source) {
  std::string bytes;
  if (file.has("tokenizer.ggml.precompiled_charsmap")) {
    MINERVA_ASSIGN(const auto numbers, file.get_ints("tokenizer.ggml.precompiled_charsmap"));
    bytes.reserve(numbers.size());
    for (const std::int64_t number : numbers) bytes += static_cast<char>(number & 0xff);
  }
  MINERVA_ASSIGN(auto map, Charsmap::parse(std::move(bytes)));
  MINERVA_ASSIGN(const bool merges,
                 file.get_bool_or("tokenizer.ggml.remove_extra_whitespaces", false));
  const bool prefix = source.add_space_prefix.value_or(false);
  auto normalizer = std::make_shared<Normalizer>();
  normalizer->add(sentence_step(std::move(map), prefix, merges));
  source.normalizer = std::move(normalizer);

  if (source.scores.size() != source.pieces.size()) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("tokenizer.ggml.scores has {} elements, but tokenizer.ggml.tokens has "
                            "{}",
                            source.scores.size(), source.pieces.size()),
                "tokenizer.ggml.scores");
  }
  source.scored = source.pieces.size();
  source.log_probabilities.assign(source.scores.begin(), source.scores.end());
  for (std::size_t i = 0; i < source.kinds.size() && i < source.scored; ++i) {
    if (source.kinds[i] == kUserDefinedKind) source.log_probabilities[i] = 0;
    if (source.kinds[i] == kUnknownKind && !source.unk) source.unk = i;
  }
  source.missing = source.unk;
  if (!source.eos) source.eos = find_piece(source, "</s>");
  if (!source.add_bos) source.add_bos = false;
  if (!source.add_eos) source.add_eos = source.eos.has_value();

  Pipeline pipeline;
  pipeline.kind = WordKind::Unigram;
  pipeline.sentencepiece = true;
  pipeline.byte_fallback = true;
  pipeline.cutter = std::make_shared<TextCutter>();
  pipeline.decoder.add(byte_fallback_decoder());
  pipeline.decoder.add(replace_decoder(std::string(kSpaceMark), " "));
  if (prefix || merges) pipeline.decoder.strip_whole(" ", 1, 0);
  source.pipeline = std::move(pipeline);
  return {};
}

// BPE over characters with marked spaces, as tokenizer.json has it.
Result<void> read_gemma4(VocabularySource& source, bool newline_runs) {
  auto pieces = std::make_shared<PieceList>();
  for (const std::string_view piece : source.pieces) {
    if (pieces->total_bytes() + piece.size() > kPieceBytesMax) break;  // the vocabulary says so
    pieces->add(piece);
  }
  TokenMap by_piece(pieces, pieces->size());
  for (std::size_t i = 0; i < pieces->size(); ++i) by_piece.add(static_cast<TokenId>(i));
  std::string merged;
  source.merge_ids.reserve(source.merges.size());
  for (std::size_t i = 0; i < source.merges.size(); ++i) {
    const std::string_view line = source.merges[i];
    const std::size_t space = line.find(' ', 1);
    const std::string_view left = line.substr(0, space);
    const std::string_view right =
        space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
    merged.assign(left);
    merged += right;
    const TokenId ids[] = {by_piece.find(left), by_piece.find(right), by_piece.find(merged)};
    if (std::ranges::find(ids, kNoToken) != std::ranges::end(ids)) {
      return fail(
          ErrorCode::InvalidModel,
          fmt::format("tokenizer.ggml.merges[{}] is {}, which is not two tokens that make a "
                      "third",
                      i, quoted_piece(line)),
          "tokenizer.ggml.merges");
    }
    source.merge_ids.push_back({static_cast<std::uint32_t>(ids[0]),
                                static_cast<std::uint32_t>(ids[1]),
                                static_cast<std::uint32_t>(ids[2])});
  }
  source.merges.clear();
  CharBpe characters;
  characters.byte_fallback = true;
  characters.newline_runs = newline_runs;
  source.char_bpe = characters;
  source.missing = source.unk;
  return {};
}

}  // namespace

Result<void> complete_gguf_model(const formats::GgufFile& file, VocabularySource& source) {
  if (source.model == "bert") return read_bert(file, source);
  if (source.model == "t5") return read_t5(file, source);
  if (source.model == "gemma4") return read_gemma4(source, true);
  if (source.model != "gpt2") return {};
  // What these call gpt2 has no bytes as letters either.
  const std::string_view pre = source.pre.value_or("");
  if (pre == "gemma4" || pre == "granite-embed-multi-311m") return read_gemma4(source, true);
  if (pre == "sarvam-moe") return read_gemma4(source, false);
  return {};
}

}  // namespace minerva::text
