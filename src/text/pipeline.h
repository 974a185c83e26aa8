// A tokenizer that is put together from general parts, as tokenizer.json describes it: what to cut
// into words, what to do with each, and how tokens become text again. A plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "text/piece_decoder.h"
#include "text/text_cutter.h"

namespace minerva::text {

// Of a word that WordPiece takes apart. The published models have 100.
inline constexpr std::size_t kWordCharactersMax = 1000;

enum class WordKind : std::uint8_t { WordPiece, WordLevel, Unigram, Bpe };

struct Pipeline {
  WordKind kind = WordKind::WordPiece;
  std::shared_ptr<const TextCutter> cutter;
  PieceDecoder decoder;

  // WordPiece and BPE: how a token that continues a word is written ("##"), and one that ends it
  // ("</w>").
  std::string continuing_prefix;
  std::string end_suffix;
  // WordPiece: instead, tokens that begin a word are written with U+2581 in front (GGUF).
  bool marks_word_starts = false;
  std::size_t word_characters_max = 100;  // WordPiece: longer words are unknown

  // Unigram: the rules of SentencePiece, which GGUF files are made for, and not those of
  // tokenizer.json: byte tokens are not found in text, and only normal tokens set the lowest score.
  bool sentencepiece = false;
  bool byte_fallback = false;  // Unigram and BPE
  bool ignore_merges = false;  // BPE
};

}  // namespace minerva::text
