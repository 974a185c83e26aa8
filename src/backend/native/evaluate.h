// How well the native engine predicts a text: perplexity, and the divergence from the same model in
// float32 (docs/numerics.md has the protocol). For the command line and tests; takes seconds to
// minutes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/compute_pool.h"
#include "engine/model.h"
#include "formats/gguf.h"
#include "kernels/kernel_table.h"
#include "text/tokenizer.h"

namespace minerva::backend {

struct EvalOptions {
  // Tokens a window. 0: the default (the context, or 512 with `windows`).
  std::size_t context = 0;
  // False: one window from the start of the text, every position but the first scored. True: as
  // many windows as the text fills, the second half of each scored.
  bool windows = false;
  std::size_t tokens_max = 0;  // stop after so many tokens of the text; 0: all of it
  bool kl_to_f32 = false;      // run the float32 model beside it
  engine::Numerics numerics = engine::Numerics::Exact;
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // tokens
  // Called with each scored position's logits, in order; for tools that compare engines.
  std::function<Result<void>(std::span<const float>)> each_logits;
};

struct EvalModel {
  std::shared_ptr<const formats::GgufFile> file;
  std::shared_ptr<const text::Tokenizer> tokenizer;
};

struct EvalReport {
  std::size_t text_tokens = 0;  // of the whole text
  std::size_t windows = 0;
  std::size_t window_tokens = 0;  // of each
  std::size_t scored = 0;         // predictions
  double mean_nll = 0;            // natural logarithm
  double perplexity = 0;
  // With kl_to_f32.
  double mean_kl = 0;
  double worst_kl = 0;
  double same_argmax = 0;  // share of positions
  double f32_perplexity = 0;
};

Result<EvalReport> evaluate(const EvalModel& model, std::string_view text,
                            const EvalOptions& options, engine::ComputePool& pool,
                            const kernels::KernelTable& kernels);

}  // namespace minerva::backend
