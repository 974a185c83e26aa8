#include "backend/native/benchmark.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "engine/decoder.h"
#include "formats/gguf.h"

namespace minerva::backend {
namespace {

using SteadyTime = std::chrono::steady_clock;

double seconds_since(SteadyTime::time_point start) {
  return std::chrono::duration<double>(SteadyTime::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

Result<BenchReport> benchmark(const OpenModel& open, const BenchOptions& options,
                              engine::ComputePool& pool, const kernels::KernelTable& kernels) {
  const auto load_start = SteadyTime::now();
  MINERVA_ASSIGN(auto file, open());
  MINERVA_ASSIGN(const auto model, engine::Model::load(file, engine::Numerics::Exact, pool));
  BenchReport report;
  report.load_s = seconds_since(load_start);
  report.prompt_tokens = options.prompt_tokens;
  report.new_tokens = options.new_tokens;
  report.sequences = options.sequences;
  report.weight_bytes = model->weight_bytes();
  report.token_bytes = model->token_bytes();
  report.threads = pool.size();

  const std::size_t positions = options.prompt_tokens + options.new_tokens;
  if (positions > model->config().trained_context) {
    return fail(
        ErrorCode::InvalidArgument,
        fmt::format("{} prompt and {} new tokens do not fit the model's context of {}",
                    options.prompt_tokens, options.new_tokens, model->config().trained_context));
  }
  engine::KvLayout layout(model->config());
  const std::uint64_t bytes = layout.bytes_for(positions) * (options.sequences + 1);
  MINERVA_ASSIGN(const auto kv, engine::KvPool::create(std::move(layout), bytes, positions));
  engine::Decoder decoder(model, *kv, pool, kernels, {});

  // Any tokens do; these walk through the vocabulary, so that embeddings are not always cached.
  std::vector<TokenId> prompt(options.prompt_tokens);
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    prompt[i] = static_cast<TokenId>((i * 7919 + 13) % model->config().vocabulary);
  }
  std::vector<double> prefill;
  std::vector<double> decode;
  for (std::size_t round = 0; round <= options.rounds; ++round) {
    auto first = kv->make_sequence();
    const auto prefill_start = SteadyTime::now();
    for (std::size_t at = 0; at < prompt.size(); at += engine::kChunkMax) {
      const std::size_t count = std::min(engine::kChunkMax, prompt.size() - at);
      if (!kv->reserve(first, count)) return fail(ErrorCode::OutOfMemory, "no pages left");
      const bool last = at + count == prompt.size();
      const engine::StepItem item{&first, std::span(prompt).subspan(at, count),
                                  last ? count - 1 : count};
      decoder.step({&item, 1});
    }
    const double prefill_s = seconds_since(prefill_start);

    std::vector<engine::SequenceKv> sequences;
    for (std::size_t s = 0; s < options.sequences; ++s) sequences.push_back(kv->fork(first));
    kv->release(first);
    const TokenId token = prompt.back();
    const auto decode_start = SteadyTime::now();
    for (std::size_t i = 0; i < options.new_tokens; ++i) {
      std::vector<engine::StepItem> items;
      for (engine::SequenceKv& sequence : sequences) {
        if (!kv->reserve(sequence, 1)) return fail(ErrorCode::OutOfMemory, "no pages left");
        items.push_back({&sequence, {&token, 1}, 0});
      }
      decoder.step(items);
    }
    const double decode_s = seconds_since(decode_start);
    for (engine::SequenceKv& sequence : sequences) kv->release(sequence);
    if (round == 0) continue;  // warms caches and pages
    prefill.push_back(static_cast<double>(prompt.size()) / prefill_s);
    decode.push_back(static_cast<double>(options.new_tokens * options.sequences) / decode_s);
  }
  report.prefill_tokens_per_s = median(std::move(prefill));
  report.decode_tokens_per_s = median(std::move(decode));
  return report;
}

}  // namespace minerva::backend
