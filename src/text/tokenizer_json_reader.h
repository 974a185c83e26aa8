// tokenizer.json taken apart: the vocabulary and the merges, which are nearly all of it, as lists;
// the rest as JSON. Nothing is interpreted yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/piece_list.h"

namespace minerva::text {

// Over three times the largest in use (Gemma 3: 20 MB with the merges as pairs).
inline constexpr std::size_t kTokenizerJsonBytesMax = std::size_t{64} << 20;

// What the bytes say. A plain value.
struct TokenizerJson {
  std::shared_ptr<PieceList> pieces;  // of model.vocab, in the file's order
  std::vector<std::uint64_t> ids;     // of each piece
  std::vector<double> scores;         // of each piece, if the vocabulary is a list (Unigram)
  PieceList merge_sides;              // left, right, left, right, ...
  bool has_vocab = false;
  nlohmann::json rest;  // the file without these two
};

// InvalidModel when it is no JSON of this shape.
Result<TokenizerJson> read_tokenizer_json(std::string_view bytes);

}  // namespace minerva::text
