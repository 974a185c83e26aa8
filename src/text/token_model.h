// One way of turning a stretch of plain text into tokens: what the tokenizers differ in. Special
// tokens are cut out before, by Tokenizer.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "text/piece_list.h"

namespace minerva::text {

// Immutable; any thread. Owned by its Tokenizer.
class TokenModel {
 public:
  TokenModel() = default;
  TokenModel(const TokenModel&) = delete;
  TokenModel& operator=(const TokenModel&) = delete;
  virtual ~TokenModel() = default;

  // Appends the tokens of `text`, which is shorter than kEncodeBytesMax and any bytes at all.
  // `after_special`: it stands at the start, or right after a special token.
  virtual Result<void> encode(std::string_view text, bool after_special,
                              std::vector<TokenId>& out) const = 0;

  // id -> the bytes it stands for in text.
  virtual const PieceList& token_bytes() const = 0;

  virtual bool add_bos_by_default() const = 0;
  // encode() puts a space before text that stands after_special.
  virtual bool adds_space_prefix() const = 0;
};

}  // namespace minerva::text
