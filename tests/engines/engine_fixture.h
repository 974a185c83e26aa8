// What the tests of real engines share.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"

namespace minerva::backend {

inline std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A generation's text and how it ended.
struct Answer {
  std::string text;
  std::vector<TokenId> ids;
  std::vector<ProgressEvent> progress;
  std::optional<FinishReason> reason;
  EndEvent end;
};

inline Answer read_answer(GenerationStream& stream) {
  Answer answer;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(3);
  while (std::chrono::steady_clock::now() < give_up) {
    auto event = stream.pop_for(std::chrono::seconds(1));
    if (!event) continue;
    if (const auto* token = std::get_if<TokenEvent>(&*event)) {
      answer.text += token->bytes;
      if (token->id) answer.ids.push_back(*token->id);
    } else if (const auto* progress = std::get_if<ProgressEvent>(&*event)) {
      answer.progress.push_back(*progress);
    } else if (const auto* choice = std::get_if<ChoiceEndEvent>(&*event)) {
      answer.reason = choice->reason;
    } else {
      answer.end = std::get<EndEvent>(*event);
      return answer;
    }
  }
  ADD_FAILURE() << "no end within three minutes";
  return answer;
}

inline GenerateRequest greedy_request(std::string prompt, std::uint64_t max_tokens) {
  GenerateRequest request;
  request.id = "test";
  request.prompt.emplace_back(std::move(prompt));
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  return request;
}

inline Answer ask(InferenceBackend& engine, GenerateRequest request) {
  const auto stream = std::make_shared<GenerationStream>();
  const auto accepted = engine.generate(std::move(request), stream);
  EXPECT_TRUE(accepted) << accepted.error().message;
  return accepted ? read_answer(*stream) : Answer{};
}

}  // namespace minerva::backend
