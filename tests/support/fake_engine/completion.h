// Answers /v1/completions, /v1/chat/completions and llama-server's /completion with FakeModel's
// tokens, and does the harm that the options order.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "support/fake_engine/connection.h"
#include "support/fake_engine/options.h"

namespace minerva::fake_engine {

// Shared by all connections.
struct State {
  Options options;
  std::atomic<bool> ready = false;
  std::atomic<int> running = 0;
  std::atomic<int> requests = 0;
};

enum class Dialect : std::uint8_t { Text, Chat, Llama };

// False when the connection must be closed.
bool answer_completion(State& state, Connection& connection, std::string_view body,
                       Dialect dialect);

// "Loading model" and the like, as llama-server says it.
std::string error_body(int status, std::string_view type, std::string_view message);

}  // namespace minerva::fake_engine
