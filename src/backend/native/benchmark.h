// How fast the native engine runs a model on this machine, through the decoder alone: no HTTP, no
// sampling, no queue. The median of several rounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "engine/compute_pool.h"
#include "formats/gguf.h"
#include "kernels/kernel_table.h"

namespace minerva::backend {

struct BenchOptions {
  std::size_t prompt_tokens = 512;
  std::size_t new_tokens = 64;
  std::size_t sequences = 1;  // that decode at once
  std::size_t rounds = 5;
};

using OpenModel = std::function<Result<std::shared_ptr<const formats::GgufFile>>()>;

struct BenchReport {
  std::size_t prompt_tokens = 0;
  std::size_t new_tokens = 0;
  std::size_t sequences = 0;
  double load_s = 0;
  double prefill_tokens_per_s = 0;
  double decode_tokens_per_s = 0;  // of all sequences together
  std::uint64_t weight_bytes = 0;
  std::uint64_t token_bytes = 0;  // of them, what one token reads
  unsigned threads = 0;
};

// `open` is part of the load that is measured.
Result<BenchReport> benchmark(const OpenModel& open, const BenchOptions& options,
                              engine::ComputePool& pool, const kernels::KernelTable& kernels);

}  // namespace minerva::backend
