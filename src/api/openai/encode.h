// The answer in OpenAI's shapes: chat.completion, text_completion, and both as event streams.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "api/dialect.h"

namespace minerva::api::openai {

struct EncoderOptions {
  std::string id;     // "chatcmpl-…" or "cmpl-…"
  std::string model;  // as the client wrote it
  std::string system_fingerprint;
  std::int64_t created = 0;  // Unix seconds
  std::uint32_t n = 1;
  std::int32_t logprobs = -1;  // as in serve::Request
  bool stream = false;
  bool include_usage = false;
};

std::unique_ptr<AnswerEncoder> make_chat_encoder(EncoderOptions options);
std::unique_ptr<AnswerEncoder> make_completion_encoder(EncoderOptions options);

}  // namespace minerva::api::openai
