// A model and options become llama-server's command line. Pure but for the checks of files.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "backend/child/child_backend.h"
#include "backend/engine_kind.h"
#include "backend/llama_cpp/llama_options.h"
#include "backend/model_spec.h"
#include "base/result.h"

namespace minerva::backend {

// Shorter than this it is not worth a load.
inline constexpr std::size_t kLlamaContextMin = 128;

// The context of a load: as asked for, or the least of the model's, the configured, and what half
// of the free memory holds for all of its sequences together.
Result<std::size_t> llama_context(const ModelSpec& spec, const LlamaOptions& options,
                                  std::size_t asked, std::uint64_t bytes_free);

// Bytes of keys and values of `context` tokens in each sequence.
std::uint64_t llama_kv_bytes(const ModelSpec& spec, const LlamaOptions& options,
                             std::size_t context);

// Of a machine with so much memory in all, what a load takes there when it is alone.
MemoryNeed llama_memory_need(const ModelSpec& spec, const LlamaOptions& options, std::size_t asked,
                             std::uint64_t bytes_total);

struct LlamaPaths {
  std::string program;
  std::string socket;  // ends in ".sock", which is how it knows that it is one
  std::string key_file;
};
std::vector<std::string> llama_arguments(const ModelSpec& spec, const LlamaOptions& options,
                                         std::size_t context, const LlamaPaths& paths);

// Files checked, key written, tokenizer read.
Result<LaunchPlan> plan_llama(const ModelSpec& spec, const LlamaOptions& options,
                              std::size_t context_size, const std::string& program);

}  // namespace minerva::backend
