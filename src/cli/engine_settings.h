// What config.toml says of the engines that are not our own: [backends.llama_cpp], [backends.mlx]
// and [remotes.NAME]. cli reads it, app turns it into the engines' own options. Plain values; no
// secret is among them, only where one is found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace minerva::cli {

// [backends.llama_cpp]. What is empty or absent is left to Minerva or to the engine.
struct LlamaCppSettings {
  bool enabled = true;
  std::string path;    // of llama-server; empty: looked for
  std::string python;  // whose packages may hold it; empty: looked for
  std::optional<std::uint64_t> gpu_layers;
  std::string device;  // as `llama-server --list-devices` names it
  std::optional<std::uint64_t> main_gpu;
  std::string tensor_split;     // "3,1"
  std::string flash_attention;  // "auto", "on", "off"
  std::string cache_type_k;     // "f16", "q8_0", …
  std::string cache_type_v;
  std::optional<std::uint64_t> parallel;  // answers at once
  std::optional<std::uint64_t> batch;     // tokens of a prompt in one step
  std::optional<std::uint64_t> ubatch;
  std::optional<std::uint64_t> threads;
  std::optional<std::uint64_t> threads_batch;
  bool mlock = false;
  std::vector<std::string> extra_args;

  friend bool operator==(const LlamaCppSettings&, const LlamaCppSettings&) = default;
};

// [backends.mlx]
struct MlxSettings {
  bool enabled = true;
  std::string python;  // the interpreter that has mlx_lm; empty: looked for
  std::optional<std::uint64_t> prefill_step;
  std::optional<std::uint64_t> prompt_cache_bytes;
  std::optional<std::uint64_t> prompt_cache_size;  // conversations
  std::optional<std::uint64_t> connections;        // to the engine at once

  friend bool operator==(const MlxSettings&, const MlxSettings&) = default;
};

// [remotes.NAME]: the engine "remote:NAME".
struct RemoteSettings {
  std::string name;
  std::vector<std::string> urls;    // replicas; at least one
  std::string key_file;             // a file that holds the key; empty: none
  std::string key_env;              // a variable that holds the key; empty: none
  std::vector<std::string> models;  // empty: asked for
  std::string mode = "auto";        // "auto", "chat", "completions"
  bool insecure = false;            // plain http to a machine that is not near
  std::string ca_file;              // more certificates to trust

  friend bool operator==(const RemoteSettings&, const RemoteSettings&) = default;
};

struct EngineSettings {
  LlamaCppSettings llama_cpp;
  MlxSettings mlx;
  std::vector<RemoteSettings> remotes;  // in the file's order

  friend bool operator==(const EngineSettings&, const EngineSettings&) = default;
};

}  // namespace minerva::cli
