// POST /v1/embeddings as OpenAI has it: texts or token ids in, a vector for each out.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/dialect.h"
#include "base/result.h"

namespace minerva::api::openai {

// A parsed request, ready for serve, with the encoder of its answer, which is never streamed.
struct EmbeddingsCall {
  serve::EmbeddingRequest request;
  std::unique_ptr<AnswerEncoder> encoder;
  std::vector<std::string> ignored;  // as in Call
};

// Every refusal is an Error whose param names the field.
Result<EmbeddingsCall> parse_embeddings(std::string_view body, const CallContext& context);

}  // namespace minerva::api::openai
