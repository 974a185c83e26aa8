// What the configuration says of single models and of all together; read from config.toml by cli.
// Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace minerva::serve {

// Values for what a request leaves open.
struct RequestDefaults {
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::int32_t> top_k;
  std::optional<std::uint64_t> max_tokens;
};

// [models."name"]
struct ModelRules {
  std::string name;  // the model's name in the store, or with `path` a new one
  std::optional<std::string> path;
  std::vector<std::string> aliases;
  std::optional<std::string> backend;  // none: the server's
  std::vector<std::string> fallback;   // empty: the server's
  std::size_t context_size = 0;        // 0: the engine's default
  bool pin = false;                    // never unloaded to make room, nor when idle
  bool preload = false;
  std::optional<Duration> idle_ttl;  // none: the server's; 0: never
  bool isolated = false;             // our own engine in a process of its own
  std::optional<std::string> mmproj_path;
  std::vector<std::string> adapter_paths;
  std::optional<std::string> chat_template;  // its source
  RequestDefaults defaults;
};

struct ServingRules {
  std::string backend = "auto";
  std::vector<std::string> fallback;  // engines by name, tried in this order behind the chosen one
  std::vector<ModelRules> models;
  Duration idle_ttl{};           // 0: models stay until room is needed
  std::uint64_t memory_max = 0;  // for all models together; 0: what the machine has free
  bool isolated = false;         // of every model on our own engine
  // Hashes ("sha256:…") of model folders whose own code may run; see models/code_scan.h.
  std::vector<std::string> allow_code;
};

}  // namespace minerva::serve
