// What the tests of faults share: a ChildBackend around fake_engine, and readers of streams.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend/child/child_backend.h"
#include "backend/fake/fake_model.h"
#include "support/fake_engine_child.h"

namespace minerva::backend {

using Outcome = EndEvent::Outcome;
using ::testing::HasSubstr;
using ::testing::Not;

// A bound for what must come, far above what it takes; a test that reaches it fails.
inline constexpr auto kBounded = std::chrono::seconds(60);

class EngineTest : public ::testing::Test {
 protected:
  struct Read {
    std::vector<TokenId> ids;  // -1 where unknown
    std::string bytes;
    std::size_t progress = 0;
    std::optional<EndEvent> end;
    Error error() const { return end && end->error ? *end->error : Error{}; }
  };

  void make(test::FakeEngineChild child) { options_ = test::fake_engine_options(std::move(child)); }
  ChildBackend& engine() {
    if (engine_ == nullptr) engine_ = std::make_unique<ChildBackend>(options_, loop_, clock_);
    return *engine_;
  }
  ChildBackend& loaded(std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--honest-requests", "1"});
    const auto silence = options_.silence_max;
    make({.flags = std::move(flags)});
    options_.silence_max = silence;
    const auto done = engine().load_model({}, 0);
    EXPECT_TRUE(done) << done.error().message;
    return engine();
  }

  static GenerateRequest ask(std::string_view text, std::uint64_t max_tokens = 100) {
    GenerateRequest request;
    request.prompt.emplace_back(FakeModel::encode(text));
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    return request;
  }
  static std::shared_ptr<GenerationStream> begin(ChildBackend& engine, GenerateRequest request) {
    auto stream = std::make_shared<GenerationStream>();
    const auto accepted = engine.generate(std::move(request), stream);
    EXPECT_TRUE(accepted) << accepted.error().message;
    return stream;
  }
  static Read read(GenerationStream& stream) {
    Read read;
    const auto give_up = std::chrono::steady_clock::now() + kBounded;
    while (!read.end && std::chrono::steady_clock::now() < give_up) {
      auto event = stream.pop_for(std::chrono::seconds(1));
      if (event) take(*event, read);
    }
    EXPECT_TRUE(read.end) << "no end within the bound";
    EXPECT_FALSE(stream.try_pop()) << "an event behind the end";
    return read;
  }
  // Until so many tokens are there.
  static Read read_tokens(GenerationStream& stream, std::size_t count) {
    Read read;
    while (read.ids.size() < count && !read.end) {
      auto event = stream.pop_for(kBounded);
      if (!event) {
        ADD_FAILURE() << "no event within the bound";
        break;
      }
      take(*event, read);
    }
    return read;
  }
  static Read run(ChildBackend& engine, GenerateRequest request) {
    return read(*begin(engine, std::move(request)));
  }
  static void expect_engine_failed(const Read& got) {
    ASSERT_TRUE(got.end);
    EXPECT_EQ(got.end->outcome, Outcome::Failed);
    EXPECT_EQ(got.error().code, ErrorCode::Unavailable) << got.error().message;
    EXPECT_EQ(got.error().origin, "llama_cpp");
    EXPECT_EQ(got.end->usage.completion_tokens, got.ids.size());
  }
  // What the model really says, so far as `got` reaches.
  static void expect_prefix(const Read& got, std::string_view text) {
    const auto whole = FakeModel(0).greedy(FakeModel::encode(text), 500);
    ASSERT_LE(got.ids.size(), whole.size());
    EXPECT_TRUE(std::ranges::equal(got.ids, std::span(whole).first(got.ids.size())));
  }

  UpstreamLoop loop_;
  FakeClock clock_;
  ChildBackendOptions options_;
  std::unique_ptr<ChildBackend> engine_;

 private:
  static void take(GenerationEvent& event, Read& read) {
    if (auto* token = std::get_if<TokenEvent>(&event)) {
      read.ids.push_back(token->id.value_or(-1));
      read.bytes += token->bytes;
    } else if (auto* end = std::get_if<EndEvent>(&event)) {
      read.end = std::move(*end);
    } else if (std::holds_alternative<ProgressEvent>(event)) {
      ++read.progress;
    }
  }
};

}  // namespace minerva::backend
