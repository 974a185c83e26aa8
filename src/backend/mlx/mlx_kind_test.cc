#include "backend/mlx/mlx_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "backend/mlx/mlx_probe.h"
#include "backend/mlx/mlx_wire.h"
#include "support/gguf_writer.h"

namespace minerva::backend {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

void write_program(const fs::path& path, std::string_view text) {
  std::ofstream(path) << text;
  fs::permissions(path, fs::perms::owner_all);
}

class MlxKindTest : public ::testing::Test {
 protected:
  MlxKindTest() {
    write_program(folder_.path() / "python3", "#!/bin/sh\n");
    options_.python = (folder_.path() / "python3").string();
    options_.environment = {"PATH=/usr/bin",    "HOME=/home/somebody", "LD_PRELOAD=/evil.so",
                            "PYTHONPATH=/evil", "HF_TOKEN=secret",     "HF_HUB_OFFLINE=0",
                            "HF_ENDPOINT=evil"};
    options_.check_folder = [](const ModelSpec&) -> Result<void> { return {}; };
    spec_.name = "my/model";
    spec_.format = ModelFormat::Mlx;
    spec_.path = folder_.path().string();
    spec_.trained_context = 4096;
  }
  const test::TempFolder folder_;
  MlxOptions options_;
  ModelSpec spec_;
};

TEST_F(MlxKindTest, TakesFoldersThatItReads) {
  for (const ModelFormat format : {ModelFormat::Mlx, ModelFormat::Safetensors}) {
    spec_.format = format;
    EXPECT_FALSE(mlx_objection(spec_));
  }
  for (const ModelFormat format : {ModelFormat::Gguf, ModelFormat::Gptq, ModelFormat::OnnxGenAi,
                                   ModelFormat::Remote, ModelFormat::Unknown}) {
    spec_.format = format;
    EXPECT_TRUE(mlx_objection(spec_));
  }
  spec_.format = ModelFormat::Mlx;
  spec_.adapter_paths = {"/a"};
  EXPECT_TRUE(mlx_objection(spec_));
  spec_.adapter_paths.clear();
  spec_.own_code = "it brings code";
  EXPECT_EQ(mlx_objection(spec_), "it brings code");
}

TEST_F(MlxKindTest, TheCommandLineIsExactlyThis) {
  options_.port = 4711;
  const auto plan = plan_mlx(options_, spec_, 0);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->child->argv, (std::vector<std::string>{options_.python,
                                                         "-P",
                                                         "-m",
                                                         "mlx_lm",
                                                         "server",
                                                         "--model",
                                                         spec_.path,
                                                         "--host",
                                                         "127.0.0.1",
                                                         "--port",
                                                         "4711",
                                                         "--allowed-origins",
                                                         "http://127.0.0.1",
                                                         "--chat-template",
                                                         std::string(kMlxTemplate),
                                                         "--log-level",
                                                         "WARNING",
                                                         "--max-tokens",
                                                         "1",
                                                         "--prefill-step-size",
                                                         "64",
                                                         "--prompt-cache-size",
                                                         "4",
                                                         "--prompt-cache-bytes",
                                                         "536870912",
                                                         "--decode-concurrency",
                                                         "16",
                                                         "--prompt-concurrency",
                                                         "4"}));
  EXPECT_TRUE(plan->prove_port);
  EXPECT_LE(plan->upstream.connections_max, 16U);
  EXPECT_GE(plan->upstream.fresh_retries, 1U);
}

TEST_F(MlxKindTest, ItIsOfflineAndInheritsNothing) {
  const auto plan = plan_mlx(options_, spec_, 0);
  ASSERT_TRUE(plan) << plan.error().message;
  const auto& environment = plan->child->environment;
  EXPECT_THAT(environment, Contains("HF_HUB_OFFLINE=1"));
  EXPECT_THAT(environment, Contains("TRANSFORMERS_OFFLINE=1"));
  EXPECT_THAT(environment, Contains("HF_HUB_DISABLE_TELEMETRY=1"));
  const std::string home = plan->folder->path();
  EXPECT_THAT(environment, Contains("HOME=" + home));
  EXPECT_THAT(environment, Contains("HF_HOME=" + home + "/hf"));
  // An empty cache that is there: without the folder its list of models has no body.
  EXPECT_TRUE(fs::is_empty(home + "/hf/hub"));
  for (const char* name : {"LD_PRELOAD", "PYTHONPATH", "HF_TOKEN", "HF_ENDPOINT"}) {
    EXPECT_THAT(environment, Not(Contains(StartsWith(std::string(name) + "="))));
  }
}

TEST_F(MlxKindTest, AFolderThatWasNotLookedThroughIsNotLoaded) {
  options_.check_folder = [](const ModelSpec&) -> Result<void> {
    return fail(ErrorCode::Forbidden, "it brings modeling.py");
  };
  EXPECT_EQ(plan_mlx(options_, spec_, 0).error().message, "it brings modeling.py");
  options_.check_folder = nullptr;
  EXPECT_EQ(plan_mlx(options_, spec_, 0).error().code, ErrorCode::Internal);
}

TEST_F(MlxKindTest, TheContextIsTheLeastOfWhatIsKnown) {
  const auto context = [&](std::size_t asked) {
    const auto plan = plan_mlx(options_, spec_, asked);
    return plan ? plan->model.context_size : 0;
  };
  EXPECT_EQ(context(0), 4096U);
  EXPECT_EQ(context(1000), 1000U);
  EXPECT_EQ(context(4097), 0U);
  options_.context_default = 2048;
  EXPECT_EQ(context(0), 2048U);
  EXPECT_EQ(context(3000), 3000U);
  spec_.trained_context = 0;
  EXPECT_EQ(context(0), 2048U);
}

TEST_F(MlxKindTest, AMissingFolderIsNamed) {
  spec_.path = "/nonexistent/folder";
  EXPECT_THAT(plan_mlx(options_, spec_, 0).error().message, HasSubstr("/nonexistent/folder"));
  spec_.path = "relative";
  EXPECT_FALSE(plan_mlx(options_, spec_, 0));
}

TEST_F(MlxKindTest, ThePythonOfTheScriptWins) {
  EXPECT_EQ(script_interpreter("#!/opt/venv/bin/python3\nimport sys"), "/opt/venv/bin/python3");
  EXPECT_EQ(script_interpreter("#!/opt/python -E\n"), "/opt/python");
  EXPECT_EQ(script_interpreter("#!/usr/bin/env python3\n"), "");
  EXPECT_EQ(script_interpreter("#!python\n"), "");
  EXPECT_EQ(script_interpreter(""), "");

  const fs::path bin = folder_.path() / "bin";
  fs::create_directory(bin);
  options_.python.clear();
  options_.environment = {"PATH=relative:" + bin.string()};
  EXPECT_EQ(find_mlx_python(options_).error().code, ErrorCode::NotFound);
  write_program(bin / "python3", "#!/bin/sh\n");
  EXPECT_EQ(find_mlx_python(options_).value(), (bin / "python3").string());
  const std::string venv = (folder_.path() / "python3").string();
  write_program(bin / "mlx_lm.server", "#!" + venv + "\n");
  EXPECT_EQ(find_mlx_python(options_).value(), venv);
  options_.python = "/nonexistent/python";
  EXPECT_THAT(find_mlx_python(options_).error().message, HasSubstr("/nonexistent/python"));
}

TEST_F(MlxKindTest, AnInstalledPackageChangesTheFingerprint) {
  const fs::path venv = folder_.path() / "venv";
  const fs::path packages = venv / "lib" / "python3.11" / "site-packages";
  fs::create_directories(packages);
  fs::create_directories(venv / "bin");
  const fs::path python = venv / "bin" / "python";
  write_program(python, "#!/bin/sh\n");
  const std::string before = mlx_fingerprint(python.string());
  EXPECT_EQ(mlx_fingerprint(python.string()), before);
  fs::last_write_time(packages, fs::last_write_time(packages) + std::chrono::seconds(5));
  EXPECT_NE(mlx_fingerprint(python.string()), before);
}

}  // namespace
}  // namespace minerva::backend
