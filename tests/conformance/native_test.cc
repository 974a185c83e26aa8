// Our own engine in the suite, on small random models of both architectures.
#include "backend/native/native_backend.h"
#include "backend/native/native_kind.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "conformance/backend_conformance.h"
#include "conformance/native_subject.h"
#include "conformance/recorder.h"
#include "support/gguf_writer.h"
#include "support/tiny_model.h"

namespace minerva::backend {
namespace {

const test::TempFolder& folder() {
  static const test::TempFolder shared;
  return shared;
}

Subject tiny(const std::string& name, const test::TinyModel& model) {
  const auto path = folder().path() / (name + ".gguf");
  test::write_file(path, test::tiny_model(model).bytes());
  return native_subject(name, path.string());
}

std::vector<Subject> make_subjects() {
  std::vector<Subject> all;
  test::TinyModel llama;
  all.push_back(tiny("llama_f32", llama));
  test::TinyModel gemma;
  gemma.architecture = "gemma3";
  gemma.type = formats::DType::Q4_K;
  gemma.window = 64;
  all.push_back(tiny("gemma3_q4_k", gemma));
  return all;
}

// GoogleTest asks once a test; the files are written once.
const std::vector<Subject>& subjects() {
  static const std::vector<Subject> all = make_subjects();
  return all;
}

INSTANTIATE_TEST_SUITE_P(Native, BackendConformance, ::testing::ValuesIn(subjects()), subject_name);

TEST(NativeBackendTest, EveryPageComesBack) {
  const FakeClock clock;
  const Subject subject = tiny("pages", {});
  const auto made = subject.make(clock);
  auto& engine = dynamic_cast<NativeBackend&>(*made);
  ASSERT_TRUE(engine.load_model(subject.spec, 256));
  const std::size_t before = engine.kv_pages_used();
  GenerateRequest request;
  request.prompt.emplace_back(std::vector<TokenId>(70, 65));
  request.ignore_end_of_generation = true;
  request.max_tokens = 100;
  for (int round = 0; round < 20; ++round) {
    std::vector<std::shared_ptr<GenerationStream>> streams;
    for (int i = 0; i < 4; ++i) {
      request.n = i == 3 ? 3 : 1;
      streams.push_back(std::make_shared<GenerationStream>());
      ASSERT_TRUE(engine.generate(request, streams.back()));
    }
    // One cancelled at once, one while it runs, two to their end.
    streams[0]->cancel();
    static_cast<void>(streams[1]->pop_for(std::chrono::seconds(30)));
    streams[1]->cancel();
    for (const auto& stream : streams) EXPECT_TRUE(record(*stream).end.has_value());
  }
  EXPECT_EQ(engine.kv_pages_used(), before);
}

TEST(NativeBackendTest, WhatItNeedsIsKnownBeforeAndCountedAfter) {
  const FakeClock clock;
  test::TinyModel model;
  model.type = formats::DType::Q4_K;
  const Subject subject = tiny("need", model);
  const MemoryNeed need = native_memory_need(subject.spec, 128, {}).value();
  EXPECT_EQ(need.total(), need.least_bytes) << "the context was asked for";
  EXPECT_LT(native_memory_need(subject.spec, 0, {})->least_bytes,
            native_memory_need(subject.spec, 0, {})->total());

  const auto made = subject.make(clock);
  EXPECT_EQ(made->load_progress().total, 0U);
  ASSERT_TRUE(made->load_model(subject.spec, 128));
  EXPECT_GT(made->load_progress().total, 0U);
  EXPECT_EQ(made->load_progress().done, made->load_progress().total);
  const auto held = [&] { return made->usage().memory.at(0).bytes; };
  const std::uint64_t loaded = held();
  EXPECT_GE(loaded, need.weights_bytes);
  EXPECT_LE(loaded, need.total());
  GenerateRequest request;
  request.prompt.emplace_back(std::vector<TokenId>(70, 65));
  request.max_tokens = 1;
  const auto stream = std::make_shared<GenerationStream>();
  ASSERT_TRUE(made->generate(request, stream));
  EXPECT_TRUE(record(*stream).end.has_value());
  // Its pages are free again, and still memory; and rows of the file were read.
  EXPECT_GT(held(), loaded + made->usage().mapped_bytes);
  EXPECT_GT(made->usage().mapped_bytes, 0U);
}

}  // namespace
}  // namespace minerva::backend
