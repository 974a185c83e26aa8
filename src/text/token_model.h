// One way of turning a stretch of plain text into tokens: what the tokenizers differ in. Special
// tokens are cut out before, by Tokenizer.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "text/piece_decoder.h"
#include "text/piece_list.h"

namespace minerva::text {

// Immutable; any thread. Owned by its Tokenizer.
class TokenModel {
 public:
  TokenModel() = default;
  TokenModel(const TokenModel&) = delete;
  TokenModel& operator=(const TokenModel&) = delete;
  virtual ~TokenModel() = default;

  // Appends the tokens of `text`, which is shorter than kEncodeBytesMax and any bytes at all. It
  // stands right after a special token, or `at_start`: where the whole text begins.
  virtual Result<void> encode(std::string_view text, bool at_start,
                              std::vector<TokenId>& out) const = 0;

  // id -> the bytes it stands for in text.
  virtual const PieceList& token_bytes() const = 0;

  virtual bool add_bos_by_default() const = 0;
  // How tokens become text where that depends on their place in it; nullptr: token_bytes(), joined.
  virtual const PieceDecoder* decoder() const { return nullptr; }
  // encode() may put a space before the text, which decode() takes away.
  virtual bool adds_space_prefix() const = 0;
};

}  // namespace minerva::text
