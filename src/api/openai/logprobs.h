// Log-probabilities in OpenAI's two shapes. Bytes of a token that are no characters by themselves
// are shown as U+FFFD beside the exact `bytes` (chat), or as "bytes:\xNN" (completions, which has
// no other place for them). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/event.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {

// Where a chat choice's tokens are collected: {"content":[…],"refusal":null}.
wire::Json empty_chat_logprobs();
void add_chat_logprobs(wire::Json& to, const std::vector<backend::TokenEvent>& tokens);

// {"tokens":[…],"token_logprobs":[…],"top_logprobs":[…]|null,"text_offset":[…]}.
wire::Json empty_completion_logprobs(bool with_top);
// `text_offset` is where the first of these begins in the answer, in characters; it is moved on.
void add_completion_logprobs(wire::Json& to, const std::vector<backend::TokenEvent>& tokens,
                             std::uint64_t& text_offset);

}  // namespace minerva::api::openai
