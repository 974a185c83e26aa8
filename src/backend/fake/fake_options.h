// How a FakeBackend behaves, and what goes wrong with it. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace minerva::backend {

// What goes wrong. Token numbers count a choice's tokens from 0, or a request's vectors.
struct FakeFaults {
  std::optional<Error> load;                   // load_model answers this
  std::optional<std::uint64_t> fail_at_token;  // that request fails, the others go on
  std::optional<std::uint64_t> hang_at_token;  // no further token; cancel and deadline still work
  std::optional<std::uint64_t> die_at_token;   // the engine is gone, with all its requests
  bool die_inside_character = false;           // after the first byte of a longer character
  bool deaf = false;  // cancel and deadlines are not heard; only unload_model ends a request
};

struct FakeOptions {
  std::size_t context_size = 512;  // the model's own
  std::size_t batch_max = 8;       // requests that share a step; the others are queued
  std::uint32_t end_one_in = 64;   // FakeModel
  std::string script;              // FakeModel
  Duration token_latency{};        // before each step
  bool manual = false;             // a step is made only when advance() allows it
  bool embeds = true;
  bool generates = true;
  bool hold_load = false;          // load_model waits for release_load()
  std::uint64_t memory_bytes = 0;  // what it says that it holds
  FakeFaults faults;
};

}  // namespace minerva::backend
