// The command line of `minerva engine`: how the server tells a child of our own binary which model
// it hosts and with what. Written and read here, so that both sides agree. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace minerva::backend {

struct EngineOptions {
  std::string socket;               // where it listens; its folder is private to the user
  std::string model;                // a GGUF file
  std::string name;                 // of the model, for messages
  std::size_t context = 0;          // tokens a sequence; 0: the default
  std::size_t context_default = 0;  // the most that the default may be; 0: the model's own
  std::uint64_t kv_bytes_max = 0;   // 0: half of what memory is free
  std::size_t waiting_max = 512;
  unsigned threads = 0;  // 0: as many as there are processors
  std::string isa = "auto";
  std::string numerics = "exact";
};

std::vector<std::string> to_arguments(const EngineOptions& options);

// Refuses what it does not know: both sides are the same binary, so a stranger is a mistake.
Result<EngineOptions> parse_engine_options(std::span<const std::string> arguments);

}  // namespace minerva::backend
