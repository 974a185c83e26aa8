#include "backend/isolated/engine_options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace minerva::backend {
namespace {

TEST(EngineOptionsTest, SurviveTheCommandLine) {
  EngineOptions options;
  options.socket = "/run/x/socket";
  options.model = "/models/a b.gguf";
  options.name = "--name";
  options.context = 4096;
  options.context_default = 8192;
  options.kv_bytes_max = 1ULL << 40U;
  options.waiting_max = 7;
  options.threads = 3;
  options.isa = "avx2";
  options.numerics = "f32";
  const auto arguments = to_arguments(options);
  const auto read = parse_engine_options(arguments);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_arguments(*read), arguments);
  EXPECT_EQ(read->model, options.model);
  EXPECT_EQ(read->name, options.name);
  EXPECT_EQ(read->kv_bytes_max, options.kv_bytes_max);
}

TEST(EngineOptionsTest, WhatIsWrongIsNamed) {
  const std::vector<std::string> good = {"--socket", "/s", "--model", "/m"};
  EXPECT_TRUE(parse_engine_options(good));
  const auto refused = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = good;
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto read = parse_engine_options(arguments);
    return read ? std::string() : read.error().param;
  };
  EXPECT_EQ(refused({"--threads", "-1"}), "--threads");
  EXPECT_EQ(refused({"--threads", "2x"}), "--threads");
  EXPECT_EQ(refused({"--context", ""}), "--context");
  EXPECT_EQ(refused({"--kv-bytes", "99999999999999999999"}), "--kv-bytes");
  EXPECT_EQ(refused({"--evil", "1"}), "--evil");
  EXPECT_EQ(refused({"--isa"}), "--isa");
  EXPECT_EQ(refused({"--numerics", "fast"}), "--numerics");
  EXPECT_EQ(refused({"--model", "relative.gguf"}), "--model");
  EXPECT_EQ(refused({"--socket", ""}), "--socket");
}

}  // namespace
}  // namespace minerva::backend
