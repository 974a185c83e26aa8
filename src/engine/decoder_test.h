// A tiny model with everything that runs it, and equality of logits: for the tests of the decoder.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "engine/decoder.h"
#include "formats/gguf.h"
#include "support/tiny_model.h"

namespace minerva::engine {

using Logits = std::vector<std::vector<float>>;  // [position][vocabulary]

inline std::vector<TokenId> tokens_of(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& t : tokens) t = static_cast<TokenId>(random() % test::kTinyVocabulary);
  return tokens;
}

// A tiny model with everything that runs it.
struct Rig {
  Rig(const test::TinyModel& settings, unsigned threads = 1,
      const kernels::KernelTable& kernels = kernels::best_kernels(),
      Numerics numerics = Numerics::Exact)
      : pool(threads) {
    auto file = formats::GgufFile::parse(test::tiny_model(settings).bytes());
    EXPECT_TRUE(file.has_value()) << file.error().message;
    auto loaded = Model::load(*file, numerics, pool);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().message;
    model = *loaded;
    KvLayout layout(model->config());
    const auto bytes = layout.bytes_for(1024) * 8;
    kv = KvPool::create(std::move(layout), bytes, 1024).value();
    kv->poison_freed_pages(true);
    decoder = std::make_unique<Decoder>(model, *kv, pool, kernels,
                                        Decoder::Limits{.tokens = kChunkMax, .logits = kChunkMax});
  }

  // Feeds `tokens` in chunks of these sizes (the last one repeats) and returns all logits.
  Logits run(std::span<const TokenId> tokens, std::vector<std::size_t> chunks) {
    SequenceKv sequence = kv->make_sequence();
    Logits out;
    for (std::size_t at = 0, i = 0; at < tokens.size(); ++i) {
      const std::size_t count =
          std::min(chunks[std::min(i, chunks.size() - 1)], tokens.size() - at);
      EXPECT_TRUE(kv->reserve(sequence, count));
      const StepItem item{&sequence, tokens.subspan(at, count), 0};
      decoder->step({&item, 1});
      for (std::size_t row = 0; row < count; ++row) keep(row, out);
      at += count;
    }
    kv->release(sequence);
    return out;
  }
  void keep(std::size_t row, Logits& out) {
    const auto logits = decoder->logits(row);
    out.emplace_back(logits.begin(), logits.end());
  }

  ComputePool pool;
  std::shared_ptr<const Model> model;
  std::unique_ptr<KvPool> kv;
  std::unique_ptr<Decoder> decoder;
};

// Bit for bit; NaN anywhere is a failure.
inline void expect_same(const Logits& a, const Logits& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t p = 0; p < a.size(); ++p) {
    for (const float v : a[p]) ASSERT_TRUE(std::isfinite(v)) << what << ", position " << p;
    ASSERT_EQ(std::memcmp(a[p].data(), b[p].data(), a[p].size() * sizeof(float)), 0)
        << what << ": position " << p << " differs";
  }
}

}  // namespace minerva::engine
