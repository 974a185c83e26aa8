// For tests of whole models: every token's logits, computed in chunks, and which is the largest.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "engine/decoder.h"

namespace minerva::engine {

// [tokens][vocabulary], `chunk` tokens a step. `context` is what the model is loaded with.
inline std::vector<std::vector<float>> all_logits(const std::shared_ptr<const Model>& model,
                                                  std::span<const TokenId> tokens,
                                                  std::size_t chunk, std::size_t context = 0) {
  ComputePool pool(1);
  KvLayout layout(model->config());
  const auto bytes = layout.bytes_for(tokens.size());
  const auto kv = KvPool::create(std::move(layout), bytes, tokens.size()).value();
  Decoder decoder(model, *kv, pool, kernels::best_kernels(),
                  {.tokens = chunk, .logits = chunk, .context = context});
  std::vector<std::vector<float>> out;
  SequenceKv sequence = kv->make_sequence();
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    const std::size_t count = std::min(chunk, tokens.size() - at);
    EXPECT_TRUE(kv->reserve(sequence, count));
    const StepItem item{&sequence, tokens.subspan(at, count), 0};
    decoder.step({&item, 1});
    for (std::size_t row = 0; row < count; ++row) {
      const auto logits = decoder.logits(row);
      out.emplace_back(logits.begin(), logits.end());
    }
  }
  kv->release(sequence);
  return out;
}

inline std::size_t argmax(std::span<const float> x) {
  return static_cast<std::size_t>(std::max_element(x.begin(), x.end()) - x.begin());
}

}  // namespace minerva::engine
