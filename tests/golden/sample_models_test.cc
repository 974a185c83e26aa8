// The sample models' first 200 positions of a text against a float32 reference written apart from
// the engine (tools/make_sample_goldens.py made tests/data/arch/*_first200.txt).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "base/system.h"
#include "engine/decoder.h"
#include "formats/gguf.h"

namespace minerva::engine {
namespace {

// Of the largest |logit| (docs/numerics.md). The KV cache's half precision alone takes half of it.
constexpr double kTolerance = 1e-3;

struct Sample {
  const char* name;
  const char* variable;  // names the file
  // What int8 activations may cost: mean divergence, and share of positions with another first
  // choice. Twice what was measured.
  double divergence_max;
  double other_choice_max;
};

// What is kept of one position's logits.
struct Position {
  static constexpr std::size_t kTop = 8;
  static constexpr std::size_t kKept = kTop + 4;  // the last four are random ones
  TokenId token = 0;
  double log_sum_exp = 0;
  double largest = 0;  // |logit|
  std::size_t ids[kKept] = {};
  double logits[kKept] = {};
};

struct Digest {
  std::size_t vocabulary = 0;
  std::vector<Position> positions;
  std::vector<TokenId> tokens;
  double largest = 0;
};

Digest read_digest(const std::string& name) {
  std::ifstream in(std::string(MINERVA_SOURCE_DIR) + "/tests/data/arch/" + name + "_first200.txt");
  Digest digest;
  std::size_t count = 0;
  in >> count >> digest.vocabulary;
  for (std::size_t i = 0; i < count; ++i) {
    Position p;
    in >> p.token >> p.log_sum_exp >> p.largest;
    for (std::size_t k = 0; k < Position::kKept; ++k) in >> p.ids[k] >> p.logits[k];
    digest.tokens.push_back(p.token);
    digest.largest = std::max(digest.largest, p.largest);
    digest.positions.push_back(p);
  }
  EXPECT_TRUE(in.good() && count == 200) << name << ": the digest is missing or cut short";
  return digest;
}

double log_sum_exp(std::span<const float> logits) {
  const double max = double{*std::max_element(logits.begin(), logits.end())};
  double sum = 0;
  for (const float l : logits) sum += std::exp(double{l} - max);
  return max + std::log(sum);
}

// How the engine's logits compare with the digest. Worst errors are in logits.
struct Comparison {
  double worst_error = 0;  // of the kept logits and the log-sum-exp
  double worst_divergence = 0;
  double divergence = 0;  // mean over the positions
  std::size_t other_choices = 0;
  std::size_t untied_other_choices = 0;  // where the reference tells the two apart

  void add(const Position& expected, std::span<const float> logits, double tolerance,
           std::size_t positions) {
    const double lse = log_sum_exp(logits);
    note_error(lse - expected.log_sum_exp);
    // Divergence of the distributions over the 8 likeliest tokens and "any other": a lower bound of
    // the whole one, and close to it where the 8 hold most of the probability.
    double kl = 0;
    double rest = 1;
    double our_rest = 1;
    for (std::size_t k = 0; k < Position::kKept; ++k) {
      const double ours = double{logits[expected.ids[k]]};
      note_error(ours - expected.logits[k]);
      if (k >= Position::kTop) continue;
      const double log_p = expected.logits[k] - expected.log_sum_exp;
      const double log_q = ours - lse;
      kl += std::exp(log_p) * (log_p - log_q);
      rest -= std::exp(log_p);
      our_rest -= std::exp(log_q);
    }
    if (rest > 1e-9 && our_rest > 1e-9) kl += rest * std::log(rest / our_rest);
    worst_divergence = std::max(worst_divergence, kl);
    divergence += kl / static_cast<double>(positions);

    const auto first =
        static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    if (first == expected.ids[0]) return;
    ++other_choices;
    const auto* known = std::find(expected.ids, expected.ids + Position::kTop, first);
    const bool tied = known != expected.ids + Position::kTop &&
                      expected.logits[0] - expected.logits[known - expected.ids] <= 2 * tolerance;
    if (!tied) ++untied_other_choices;
  }

 private:
  void note_error(double error) {
    worst_error = std::isnan(error) ? std::numeric_limits<double>::infinity()
                                    : std::max(worst_error, std::abs(error));
  }
};

Comparison compare(const std::string& path, const Digest& digest, Numerics numerics) {
  constexpr std::size_t kChunk = 50;  // logits of a whole vocabulary each
  ComputePool pool(available_cpus());
  const auto file = formats::GgufFile::open(path);
  EXPECT_TRUE(file.has_value()) << file.error().message;
  const auto model = Model::load(*file, numerics, pool);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  EXPECT_EQ((*model)->config().vocabulary, digest.vocabulary);
  KvLayout layout((*model)->config());
  const auto bytes = layout.bytes_for(digest.tokens.size());
  const auto kv = KvPool::create(std::move(layout), bytes, digest.tokens.size()).value();
  Decoder decoder(*model, *kv, pool, kernels::best_kernels(), {.tokens = kChunk, .logits = kChunk});

  Comparison comparison;
  SequenceKv sequence = kv->make_sequence();
  for (std::size_t at = 0; at < digest.tokens.size(); at += kChunk) {
    const std::size_t count = std::min(kChunk, digest.tokens.size() - at);
    EXPECT_TRUE(kv->reserve(sequence, count));
    const StepItem item{&sequence, std::span(digest.tokens).subspan(at, count), 0};
    decoder.step({&item, 1});
    for (std::size_t row = 0; row < count; ++row) {
      comparison.add(digest.positions[at + row], decoder.logits(row), kTolerance * digest.largest,
                     digest.positions.size());
    }
  }
  kv->release(sequence);
  return comparison;
}

class SampleModel : public testing::TestWithParam<Sample> {
 protected:
  void SetUp() override {
    const char* path = std::getenv(GetParam().variable);
    if (path == nullptr || *path == '\0') {
      std::printf("NOT RUN: %s does not name a model file\n", GetParam().variable);
      GTEST_SKIP() << "NOT RUN: " << GetParam().variable << " does not name a model file";
    }
    path_ = path;
    digest_ = read_digest(GetParam().name);
  }
  std::string path_;
  Digest digest_;
};

INSTANTIATE_TEST_SUITE_P(Models, SampleModel,
                         testing::Values(Sample{"smollm2", "MINERVA_SAMPLE_SMOLLM2", 0.004, 0.1},
                                         Sample{"gemma3", "MINERVA_SAMPLE_GEMMA3", 0.005, 0.1}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(SampleModel, Float32HasTheReferenceLogits) {
  const Comparison c = compare(path_, digest_, Numerics::F32);
  std::printf(
      "%s, float32: worst error %.1e of the largest |logit|, divergence %.1e mean, %zu other "
      "first choices\n",
      GetParam().name, c.worst_error / digest_.largest, c.divergence, c.other_choices);
  EXPECT_LE(c.worst_error, kTolerance * digest_.largest);
  EXPECT_EQ(c.untied_other_choices, 0U);
}

TEST_P(SampleModel, ExactStaysNearTheReference) {
  const Comparison c = compare(path_, digest_, Numerics::Exact);
  const auto positions = static_cast<double>(digest_.positions.size());
  std::printf(
      "%s, exact: divergence %.5f mean, %.5f worst; worst error %.1e of the largest |logit|; the "
      "same first choice at %.1f %%\n",
      GetParam().name, c.divergence, c.worst_divergence, c.worst_error / digest_.largest,
      100 - 100 * static_cast<double>(c.other_choices) / positions);
  EXPECT_LE(c.divergence, GetParam().divergence_max);
  EXPECT_LE(static_cast<double>(c.other_choices), GetParam().other_choice_max * positions);
}

}  // namespace
}  // namespace minerva::engine
