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

inline std::vector<TokenId> tokens_of(std::size_t count, unsigned seed,
                                      std::size_t vocabulary = test::kTinyVocabulary) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& t : tokens) t = static_cast<TokenId>(random() % vocabulary);
  return tokens;
}

// A tiny model with everything that runs it.
struct Rig {
  Rig(const test::TinyModel& settings, unsigned threads = 1,
      const kernels::KernelTable& kernels = kernels::best_kernels(),
      Numerics numerics = Numerics::Exact)
      : Rig(test::tiny_model(settings), threads, kernels, numerics) {}

  explicit Rig(const test::GgufWriter& writer, unsigned threads = 1,
               const kernels::KernelTable& kernels = kernels::best_kernels(),
               Numerics numerics = Numerics::Exact)
      : pool(threads) {
    auto file = formats::GgufFile::parse(writer.bytes());
    EXPECT_TRUE(file.has_value()) << file.error().message;
    auto loaded = Model::load(*file, numerics, pool);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().message;
    model = *loaded;
    KvLayout layout(model->config());
    // Forks that are kept have a state each.
    const auto bytes = layout.bytes_for(1024) * (layout.has_states() ? 64 : 8);
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

// Sequences in random mixes of chunks of all of them, with forks and truncations in between, have
// the logits of each alone.
inline void expect_sequences_apart(Rig& rig, int rounds) {
  constexpr std::size_t kSequences = 6;
  const bool states = rig.kv->layout().has_states();  // which forget everything when they go back
  std::vector<std::vector<TokenId>> tokens;
  std::vector<Logits> alone;
  for (unsigned s = 0; s < kSequences; ++s) {
    tokens.push_back(tokens_of(30 + 11 * s, 100 + s, rig.model->config().vocabulary));
    alone.push_back(rig.run(tokens.back(), {tokens.back().size()}));
  }
  std::mt19937 random(8);
  for (int round = 0; round < rounds; ++round) {
    std::vector<SequenceKv> sequences;
    std::vector<Logits> together(kSequences);
    for (std::size_t s = 0; s < kSequences; ++s) sequences.push_back(rig.kv->make_sequence());
    for (bool more = true; more;) {
      more = false;
      std::vector<StepItem> items;
      std::vector<std::size_t> owners;
      for (std::size_t s = 0; s < kSequences; ++s) {
        SequenceKv& kv = sequences[s];
        if (random() % (states ? 64 : 8) == 0 && kv.length > 2) {
          const std::size_t back = 1 + random() % 2;
          rig.kv->truncate(kv, kv.length - back);
          together[s].resize(kv.length);
        }
        if (random() % 8 == 0) {
          SequenceKv copy = rig.kv->fork(kv);
          std::swap(copy, kv);
          if (random() % 2 == 0)
            rig.kv->release(copy);
          else
            sequences.push_back(std::move(copy));
        }
      }
      for (std::size_t s = 0; s < kSequences; ++s) {
        SequenceKv& kv = sequences[s];
        const std::size_t left = tokens[s].size() - kv.length;
        if (left == 0) continue;
        more = true;
        const std::size_t count = std::min<std::size_t>(left, random() % 9);
        if (count == 0) continue;
        ASSERT_TRUE(rig.kv->reserve(kv, count));
        items.push_back({&kv, std::span(tokens[s]).subspan(kv.length, count), 0});
        owners.push_back(s);
      }
      rig.decoder->step(items);
      std::size_t row = 0;
      for (std::size_t i = 0; i < items.size(); ++i) {
        for (std::size_t t = 0; t < items[i].tokens.size(); ++t) {
          rig.keep(row++, together[owners[i]]);
        }
      }
    }
    for (std::size_t s = 0; s < kSequences; ++s) {
      expect_same(alone[s], together[s], "sequence " + std::to_string(s));
    }
    for (SequenceKv& kv : sequences) rig.kv->release(kv);
    EXPECT_EQ(rig.kv->used_pages(), 0u);
  }
}

}  // namespace minerva::engine
