// What every backend must do, as one parameterised suite (backend_conformance_test.cc). A file for
// each backend instantiates it:
//
//   INSTANTIATE_TEST_SUITE_P(Fake, BackendConformance, ::testing::Values(fake()), subject_name);
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "backend/backend.h"
#include "base/clock.h"

namespace minerva::backend {

// A backend, and what the suite must know beforehand. All else it asks of capabilities().
struct Subject {
  std::string name;
  std::function<std::unique_ptr<InferenceBackend>(const Clock& clock)> make;
  ModelSpec spec;
  std::size_t context_size = 256;  // the suite loads with this; 0: the engine does not say it
  bool reads_files = true;         // a file that is missing is an error
  // A token that ends answers, of the loaded model; none: the suite does not make it end one.
  std::function<TokenId(const InferenceBackend& engine)> end_token = {};
};

// The end token that is written like this.
inline std::function<TokenId(const InferenceBackend& engine)> token_of(std::string text) {
  return [text = std::move(text)](const InferenceBackend& engine) {
    const auto ids = engine.tokenize(text, {.add_special = false, .parse_special = true});
    EXPECT_TRUE(ids && ids->size() == 1) << text;
    return ids && ids->size() == 1 ? ids->front() : TokenId{0};
  };
}

inline std::string subject_name(const ::testing::TestParamInfo<Subject>& info) {
  return info.param.name;
}

class BackendConformance : public ::testing::TestWithParam<Subject> {
 protected:
  // Made, started and loaded.
  std::unique_ptr<InferenceBackend> loaded();
  std::unique_ptr<InferenceBackend> made();
  // A prompt of this model, the same at each call: as token ids, or text where the engine cannot
  // tokenize.
  static GenerateRequest greedy(const InferenceBackend& engine, std::uint64_t max_tokens,
                                std::string_view text = "The quick brown fox");

  static bool tokenizes(const InferenceBackend& engine) {
    return engine.capabilities().tokenize != Support::No;
  }
  // The prompt's tokens are counted right, so far as anybody here knows them.
  static void expect_counted(const InferenceBackend& engine, const EndEvent& end,
                             const GenerateRequest& request);

  FakeClock clock_;
};

}  // namespace minerva::backend
