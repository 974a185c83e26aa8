// How llama-server is to be run. A closed list: nothing else reaches its command line, but what the
// owner of the machine wrote into the configuration. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/model_spec.h"
#include "base/clock.h"
#include "base/result.h"
#include "text/tokenizer.h"

namespace minerva::backend {

enum class FlashAttention : std::uint8_t { Auto, On, Off };

struct LlamaAdapter {
  std::string path;
  float scale = 1;
};

struct LlamaOptions {
  // --- where it is ---
  std::string program;      // a path; empty: looked for
  std::string search_path;  // $PATH of ours
  // Python programs whose packages may hold one ("bin/llama-server" in a package).
  std::vector<std::string> pythons;

  // --- how its process is kept ---
  std::vector<std::string> guard;                // our binary and its verb (process/child.h)
  std::vector<std::string> environment;          // ours, to be filtered
  std::string socket_prefix = "minerva-llama-";  // process::PrivateFolder
  std::string log_folder;                        // empty: no log files
  Duration ready_max = std::chrono::minutes(10);
  Duration silence_max = std::chrono::minutes(10);

  // --- the machine ---
  std::optional<std::uint32_t> gpu_layers;  // none: as many as fit
  std::vector<std::string> devices;         // "Vulkan0"; empty: all; "none": the CPU only
  std::optional<std::uint32_t> main_gpu;
  std::vector<float> tensor_split;
  unsigned threads = 0;        // 0: all processors of ours
  unsigned threads_batch = 0;  // 0: as many as threads
  bool mlock = false;

  // --- the model ---
  std::size_t context_default = 0;  // the most that a load without a size gets; 0: the model's
  std::uint32_t parallel = 4;       // sequences at once, each with the whole context
  FlashAttention flash_attention = FlashAttention::Auto;
  std::string cache_type_k;  // "q8_0"; empty: f16
  std::string cache_type_v;
  std::uint32_t batch = 0;  // tokens of a prompt in one step; 0: its default
  std::uint32_t ubatch = 0;
  std::uint32_t prompt_cache_mib = 256;  // of states of idle sequences (its default is 8 GiB)
  std::vector<LlamaAdapter> adapters;    // besides those of the model

  std::vector<std::string> extra_args;  // from the configuration's file only, as written

  // Where vocabularies are shared with others; empty: read from the model's file.
  std::function<Result<std::shared_ptr<const text::Tokenizer>>(const ModelSpec&)> vocabulary;
};

}  // namespace minerva::backend
