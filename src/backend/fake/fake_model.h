// A language model in a few lines: its next token is a pure function of the whole prefix, so that a
// test can say in closed form what any stream must hold, however it was batched, cut or stitched.
//
// Vocabulary: ids 0 to 255 are the bytes, then kBeginning, kEnd, kTurnStart, kTurnEnd. Text is made
// of 37 characters of one to four bytes; a character's later bytes follow its first one surely, so
// free-running output is valid UTF-8.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/request.h"
#include "base/token.h"

namespace minerva::backend {

struct FakeCandidate {
  TokenId id = -1;
  float logprob = 0;
};

class FakeModel {
 public:
  static constexpr TokenId kBeginning = 256;
  static constexpr TokenId kEnd = 257;  // ends an answer
  static constexpr TokenId kTurnStart = 258;
  static constexpr TokenId kTurnEnd = 259;
  static constexpr TokenId kVocabSize = 260;

  // Ends an answer at one position in `end_one_in`; 0: never. `script`: this text and then the
  // end, whatever the prompt; empty: none.
  explicit FakeModel(std::uint32_t end_one_in = 64, std::string script = {});

  // What may follow `prefix`, of which the last `generated` tokens are the model's own; likeliest
  // first, probabilities sum to one. Never empty.
  std::vector<FakeCandidate> candidates(std::span<const TokenId> prefix, std::size_t generated,
                                        bool ignore_end) const;

  // Chooses as `sampling` asks: temperature, top_k, logit_bias and the seed are honoured, the rest
  // is not. A function of its arguments alone.
  static FakeCandidate choose(std::vector<FakeCandidate> candidates, const SamplingParams& sampling,
                              std::uint64_t seed, std::uint32_t choice, std::uint64_t position);

  // The greedy answer to `prompt`: at most `max_tokens`, less when it ends by itself.
  std::vector<TokenId> greedy(std::span<const TokenId> prompt, std::size_t max_tokens,
                              bool ignore_end = false) const;

  // A vector of this many numbers, of length 5 and a function of the tokens and their order.
  static constexpr std::size_t kWidth = 4;
  static std::vector<float> embedding(std::span<const TokenId> tokens);

  static bool is_token(TokenId id) { return id >= 0 && id < kVocabSize; }
  static std::string bytes(TokenId id);  // empty for the control tokens
  static std::vector<TokenId> encode(std::string_view text);
  static std::string decode(std::span<const TokenId> ids);

 private:
  const std::uint32_t end_one_in_;
  const std::string script_;
};

}  // namespace minerva::backend
