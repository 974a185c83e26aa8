// A Call while its body is being read: the request, and what is only known to be right once every
// field has been seen. Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/dialect.h"
#include "serve/types.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {

enum Endpoints : std::uint8_t { kChat = 1, kCompletions = 2, kBoth = 3 };

struct Draft {
  Endpoints endpoint = kChat;
  const CallContext* context = nullptr;

  serve::Request request;
  chat::Conversation conversation;
  std::optional<serve::RawPrompt> prompt;

  bool stream = false;
  bool include_usage = false;
  bool strict = false;
  bool hide_tools = false;  // tool_choice "none"
  bool one_tool_call = false;
  bool logprobs = false;
  std::optional<std::int32_t> top_logprobs;
  std::optional<std::uint32_t> best_of;
  std::optional<std::uint64_t> max_completion_tokens;
  std::optional<float> repetition_penalty;
  std::optional<float> repeat_penalty;
  std::optional<std::int32_t> repeat_last_n;
  std::optional<std::string> reasoning_effort;
  std::vector<std::string> ignored;  // as the client wrote them

  // Remembers a field that nobody reads; what is past the first few is not remembered.
  void ignore(std::string name) {
    if (ignored.size() < kIgnoredMax) ignored.push_back(std::move(name));
  }
  static constexpr std::size_t kIgnoredMax = 16;
};

}  // namespace minerva::api::openai
