// What can be said against a request before any model is looked at, and after its vocabulary is
// known. Pure functions. api has checked the types and the ranges that its dialect promises; here
// stands what must hold for every dialect.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "serve/types.h"

namespace minerva::serve {

inline constexpr std::uint32_t kChoicesMax = 128;
inline constexpr std::int32_t kLogprobsMax = 20;
inline constexpr std::size_t kStopStringsMax = 16;
inline constexpr std::size_t kStopStringBytesMax = 1024;
inline constexpr std::size_t kLogitBiasMax = 1024;

// InvalidArgument or Unsupported, naming the field and the two numbers.
Result<void> check_request(const Request& request);

inline constexpr std::size_t kEmbeddingInputsMax = 2048;
Result<void> check_embedding_request(const EmbeddingRequest& request);
// `index` is the input's place.
Result<void> check_embedding_tokens(const std::vector<TokenId>& tokens, std::size_t index,
                                    std::size_t vocab_size);

// Token ids in the request are those of a vocabulary of this size.
Result<void> check_token_ids(const Request& request, std::size_t vocab_size);

bool has_images(const Request& request);

}  // namespace minerva::serve
