#include "cli/configuration.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/rng.h"

namespace minerva::cli {
namespace {

// A Minerva folder of its own.
class ConfigurationTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / ("cli_" + std::to_string(random_seed()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write_config(const std::string& text) { std::ofstream(folder_ / "config.toml") << text; }
  Result<Configuration> load(std::vector<std::string> more = {}, const FlagValues& flags = {}) {
    more.push_back("MINERVA_HOME=" + folder_.string());
    return load_configuration(more, flags);
  }
  std::string refusal(std::vector<std::string> more = {}, const FlagValues& flags = {}) {
    const auto loaded = load(std::move(more), flags);
    return loaded ? "accepted" : loaded.error().message;
  }

  std::filesystem::path folder_;
};

TEST_F(ConfigurationTest, WithoutAnythingTheDefaultsCount) {
  const auto loaded = load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->settings.port, 11434U);
  EXPECT_EQ(loaded->settings.models_dir, folder_.string() + "/models");
  for (const Setting& setting : setting_table()) EXPECT_TRUE(loaded->is_default(setting.name));
}

TEST_F(ConfigurationTest, FlagsWinOverTheEnvironmentAndThatOverTheFile) {
  write_config("port = 1\nthreads = 3\n\nqueue = 5\n");
  const auto loaded = load({"MINERVA_PORT=2", "MINERVA_THREADS=4"}, {{"port", {"3"}}});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->settings.port, 3U);
  EXPECT_EQ(loaded->settings.threads, 4U);
  EXPECT_EQ(loaded->settings.queue, 5U);
  EXPECT_EQ(loaded->source("port"), "--port");
  EXPECT_EQ(loaded->source("threads"), "MINERVA_THREADS");
  EXPECT_EQ(loaded->source("queue"), (folder_ / "config.toml").string() + " line 4");
  EXPECT_EQ(loaded->source("host"), "default");
}

TEST_F(ConfigurationTest, TheFileTakesEveryKindOfValue) {
  write_config(
      "host = \"0.0.0.0\"\nstrict = true\nmodels = [\"a\", \"b\"]\nkv_memory = \"2G\"\n"
      "body_max = 4096\n");
  const auto loaded = load();
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->settings.host, "0.0.0.0");
  EXPECT_TRUE(loaded->settings.strict);
  EXPECT_EQ(loaded->settings.models, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(loaded->settings.kv_memory, std::uint64_t{2} << 30);
  EXPECT_EQ(loaded->settings.body_max, 4096U);
}

TEST_F(ConfigurationTest, ATypoInTheFileNamesItsLineAndTheNearest) {
  write_config("host = \"127.0.0.1\"\nprot = 80\n");
  EXPECT_EQ(refusal(), (folder_ / "config.toml").string() +
                           " line 2: there is no setting \"prot\"; did you mean port? (`minerva "
                           "config` lists what there "
                           "is)");
}

TEST_F(ConfigurationTest, AWrongValueInTheFileNamesItsLine) {
  const std::string path = (folder_ / "config.toml").string();
  write_config("\nport = \"many\"\n");
  EXPECT_EQ(refusal(), path + " line 2: port: takes a number from 0 to 65535, not \"many\"");
  write_config("port = -1\n");
  EXPECT_EQ(refusal(), path + " line 1: port: takes a number from 0 to 65535, not \"-1\"");
  write_config("models = [1]\n");
  EXPECT_EQ(refusal(), path + " line 1: models: takes a list of strings");
  write_config("host = [\"a\"]\n");
  EXPECT_EQ(refusal(), path + " line 1: host: takes one value, but a list was given");
  write_config("host = true\n");
  EXPECT_EQ(refusal(), path + " line 1: host: takes no true or false");
  write_config("[port]\nx = 1\n");
  EXPECT_EQ(refusal(), path + " line 1: port: takes a string, a number, true or false, or a list");
}

TEST_F(ConfigurationTest, ABrokenFileNamesLineAndColumn) {
  write_config("port = \n");
  EXPECT_NE(refusal().find("config.toml line 1, column "), std::string::npos) << refusal();
  write_config("port = 1\nport = 2\n");
  EXPECT_NE(refusal().find("config.toml line 2, column "), std::string::npos) << refusal();
}

TEST_F(ConfigurationTest, AnUnknownVariableIsRefused) {
  EXPECT_EQ(refusal({"MINERVA_PROT=1"}),
            "the environment has MINERVA_PROT, which is no setting; did you mean MINERVA_PORT? "
            "(`minerva config` lists what there is)");
  EXPECT_EQ(refusal({"MINERVA_PORT=x"}), "MINERVA_PORT: takes a number from 0 to 65535, not \"x\"");
  EXPECT_TRUE(load({"MINERVA_SAMPLE_SMOLLM2=path", "MINERVA_PYTHON=python3", "PORT=x"}));
  EXPECT_TRUE(load({"MINERVA_LLAMA_SERVER=path", "MINERVA_MLX_PYTHON=path"}));
}

TEST_F(ConfigurationTest, AWrongFlagIsTheCommandLinesFault) {
  const auto loaded = load({}, {{"isa", {"mmx"}}});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().param, "--isa");
  EXPECT_EQ(loaded.error().message, "--isa: takes auto, scalar, avx2, avx512, not \"mmx\"");
}

TEST_F(ConfigurationTest, RepeatedFlagsMakeAList) {
  const auto loaded = load({"MINERVA_MODELS=x,y"}, {{"models", {"a,b", "c"}}});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->settings.models, (std::vector<std::string>{"a,b", "c"}));
}

}  // namespace
}  // namespace minerva::cli
