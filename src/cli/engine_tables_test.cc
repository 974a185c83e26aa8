// The tables of config.toml: what they mean, and how they are refused.
#include "cli/engine_tables.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/rng.h"

namespace minerva::cli {
namespace {

Result<Configuration> read(const std::string& text) {
  const std::vector<std::string> environment = {"MINERVA_HOME=/home-of-minerva"};
  Configuration configuration = default_configuration(environment);
  MINERVA_TRY(apply_toml(configuration, text, "c.toml"));
  settle_rules(configuration);
  MINERVA_TRY(check_engine_names(configuration));
  return configuration;
}

std::string refusal(const std::string& text) {
  const auto read_in = read(text);
  return read_in ? "accepted" : read_in.error().message;
}

TEST(EngineTables, AModelsRules) {
  const auto made = read(R"(
[models."org/big:q4"]
path = "models/big.gguf"
aliases = ["big", "b"]
backend = "remote:office"
fallback = ["native", "llama_cpp"]
context = 4096
pin = true
preload = true
idle_ttl = "10m"
isolation = "process"
mmproj = "/m/eye.gguf"
adapters = ["/m/a.gguf", "b.gguf"]
defaults = { temperature = 1, top_k = 40, top_p = 0.5, max_tokens = 9 }
[models.plain]
[remotes.office]
url = "https://office.example/v1/"
)");
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->rules.models.size(), 2U);
  const serve::ModelRules& rules = made->rules.models[0];
  EXPECT_EQ(rules.name, "org/big:q4");
  EXPECT_EQ(rules.path, "/home-of-minerva/models/big.gguf");
  EXPECT_EQ(rules.aliases, (std::vector<std::string>{"big", "b"}));
  EXPECT_EQ(rules.backend, "remote:office");
  EXPECT_EQ(rules.fallback, (std::vector<std::string>{"native", "llama_cpp"}));
  EXPECT_EQ(rules.context_size, 4096U);
  EXPECT_TRUE(rules.pin && rules.preload && rules.isolated);
  EXPECT_EQ(rules.idle_ttl, Duration(std::chrono::minutes(10)));
  EXPECT_EQ(rules.mmproj_path, "/m/eye.gguf");
  EXPECT_EQ(rules.adapter_paths,
            (std::vector<std::string>{"/m/a.gguf", "/home-of-minerva/b.gguf"}));
  EXPECT_EQ(rules.defaults.temperature, 1.0F);
  EXPECT_EQ(rules.defaults.top_k, 40);
  EXPECT_EQ(rules.defaults.max_tokens, 9U);
  EXPECT_FALSE(rules.defaults.min_p);
  EXPECT_EQ(made->rules.models[1].name, "plain");
  EXPECT_FALSE(made->rules.models[1].idle_ttl);
  EXPECT_EQ(made->engines.remotes[0].urls, std::vector<std::string>{"https://office.example/v1"});
}

TEST(EngineTables, EnginesOptions) {
  const auto made = read(R"(
[backends.llama_cpp]
path = "llama-server"
python = "venv/bin/python"
gpu_layers = 0
parallel = 2
cache_type_k = "q8_0"
mlock = true
extra_args = ["--no-warmup"]
[backends.mlx]
enabled = false
prompt_cache_bytes = "512M"
)");
  ASSERT_TRUE(made) << made.error().message;
  const LlamaCppSettings& llama = made->engines.llama_cpp;
  EXPECT_TRUE(llama.enabled);
  EXPECT_EQ(llama.path, "llama-server");
  EXPECT_EQ(llama.python, "/home-of-minerva/venv/bin/python");
  EXPECT_EQ(llama.gpu_layers, 0U);
  EXPECT_FALSE(llama.threads);
  EXPECT_EQ(llama.parallel, 2U);
  EXPECT_EQ(llama.cache_type_k, "q8_0");
  EXPECT_TRUE(llama.mlock);
  EXPECT_EQ(llama.extra_args, std::vector<std::string>{"--no-warmup"});
  EXPECT_FALSE(made->engines.mlx.enabled);
  EXPECT_EQ(made->engines.mlx.prompt_cache_bytes, std::uint64_t{512} << 20);
  EXPECT_EQ(read("")->engines, EngineSettings());
}

TEST(EngineTables, TopLevelSettingsBecomeRules) {
  const auto made = read(
      "fallback = [\"mlx\"]\nisolation = \"process\"\nidle_ttl = \"1h\"\nmemory_max = \"4G\"\n"
      "backend = \"native\"\n");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->rules.backend, "native");
  EXPECT_EQ(made->rules.fallback, std::vector<std::string>{"mlx"});
  EXPECT_TRUE(made->rules.isolated);
  EXPECT_EQ(made->rules.idle_ttl, Duration(std::chrono::hours(1)));
  EXPECT_EQ(made->rules.memory_max, std::uint64_t{4} << 30);
}

TEST(EngineTables, ModelsMayBeAListOfNames) {
  const auto made = read("models = [\"a\", \"b\"]\n");
  ASSERT_TRUE(made);
  EXPECT_EQ(made->settings.models, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(made->rules.models.empty());
}

TEST(EngineTables, WhatIsUnknownNamesItsLineAndTheNearest) {
  EXPECT_EQ(refusal("[models.\"m\"]\npinn = true\n"),
            "c.toml line 2: there is no setting \"pinn\" in models.\"m\"; did you mean pin?");
  EXPECT_EQ(refusal("[backends.lama_cpp]\n"),
            "c.toml line 1: there is no setting \"lama_cpp\" in backends; did you mean "
            "llama_cpp?");
  EXPECT_EQ(refusal("[backends.mlx]\npyton = \"x\"\n"),
            "c.toml line 2: there is no setting \"pyton\" in backends.mlx; did you mean python?");
  EXPECT_EQ(refusal("[models.m]\ndefaults = { temprature = 1 }\n")
                .find("c.toml line 2: there is no setting \"temprature\" in defaults"),
            0U);
  EXPECT_EQ(refusal("[remote.x]\n")
                .find("c.toml line 1: there is no setting \"remote\"; did you "
                      "mean remotes?"),
            0U);
}

TEST(EngineTables, WrongValuesSayWhatIsAccepted) {
  EXPECT_EQ(refusal("[models.m]\n\ncontext = -1\n"),
            "c.toml line 3: models.\"m\".context: takes a number from 0 to 16777216, not -1");
  EXPECT_EQ(refusal("[models.m]\nbackend = \"fast\"\n"),
            "c.toml line 2: models.\"m\".backend: takes auto, native, llama_cpp, mlx or "
            "remote:NAME, not \"fast\"");
  EXPECT_EQ(refusal("[models.m]\npin = 1\n"),
            "c.toml line 2: models.\"m\".pin: takes true or false");
  EXPECT_EQ(refusal("[backends.llama_cpp]\ncache_type_v = \"q9\"\n")
                .find("c.toml line 2: backends.llama_cpp.cache_type_v: takes f32, f16, "),
            0U);
  for (const char* text :
       {"[models.m]\nidle_ttl = \"soon\"\n",
        "[models.m]\naliases = \"x\"\n",
        "[models.m]\naliases = [\"../x\"]\n",
        "[models.\"../m\"]\n",
        "[models.\"-m\"]\n",
        "[models]\nm = 3\n",
        "[models.m]\npath = \"\"\n",
        "[models.m]\npath = \"a\\nb\"\n",
        "[models.m]\nfallback = [\"auto\"]\n",
        "[models.m]\nisolation = true\n",
        "[models.m]\ndefaults = { temperature = \"hot\" }\n",
        "[models.m]\ndefaults = { temperature = nan }\n",
        "[models.m]\ndefaults = 3\n",
        "[models.m]\nchat_template = \"/no/such/file\"\n",
        "backends = 3\n",
        "[backends]\nmlx = true\n",
        "[backends.llama_cpp]\nthreads = 0\n",
        "[backends.llama_cpp]\nextra_args = \"--x\"\n",
        "[remotes.office]\n",
        "[remotes.office]\nurl = \"office.example\"\n",
        "[remotes.office]\nurl = \"https://\"\n",
        "[remotes.\"a b\"]\nurl = \"https://x\"\n",
        "[remotes.office]\nurl = \"https://x\"\nkey_file = \"k\"\nkey_env = \"K\"\n"}) {
    const std::string message = refusal(text);
    EXPECT_EQ(message.find("c.toml line "), 0U) << text << message;
  }
}

TEST(EngineTables, SecretsAreNotTakenAndNotRepeated) {
  for (const char* text : {"[remotes.office]\nurl = \"https://me:s3cret@office.example\"\n",
                           "[remotes.office]\nurl = \"https://x\"\nkey_env = \"sk-s3cret\"\n"}) {
    const std::string message = refusal(text);
    EXPECT_NE(message, "accepted");
    EXPECT_EQ(message.find("s3cret"), std::string::npos) << message;
  }
}

TEST(EngineTables, EnginesThatAreNamedMustBeThere) {
  EXPECT_EQ(refusal("backend = \"remote:office\"\n"),
            "backend: there is no [remotes.office] in /home-of-minerva/config.toml");
  EXPECT_EQ(refusal("[models.m]\nfallback = [\"remote:x\"]\n"),
            "models.\"m\": there is no [remotes.x] in /home-of-minerva/config.toml");
  EXPECT_EQ(refusal("[models.a]\naliases = [\"x\"]\n[models.b]\naliases = [\"x\"]\n"),
            "models.\"b\": another model is called \"x\", too");
  EXPECT_EQ(refusal("[models.a]\naliases = [\"b\"]\n[models.b]\n"),
            "models.\"a\": another model is called \"b\", too");
}

TEST(EngineTables, AChatTemplateIsReadFromItsFile) {
  const auto path =
      std::filesystem::path(testing::TempDir()) / (std::to_string(random_seed()) + ".jinja");
  std::ofstream(path) << "{{ messages }}";
  const auto made = read("[models.m]\nchat_template = \"" + path.string() + "\"\n");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->rules.models[0].chat_template, "{{ messages }}");
  std::filesystem::remove(path);
}

// The example that people copy.
TEST(EngineTables, TheDocumentsExampleIsRight) {
  std::ifstream file(std::string(MINERVA_SOURCE_DIR) + "/docs/configuration.md");
  std::ostringstream all;
  all << file.rdbuf();
  const std::string text = all.str();
  const std::size_t begin = text.find("```toml\n");
  ASSERT_NE(begin, std::string::npos);
  const std::size_t end = text.find("```", begin + 8);
  const auto made = read(text.substr(begin + 8, end - begin - 8));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->settings.port, 8080U);
  EXPECT_EQ(made->rules.models.size(), 2U);
  EXPECT_EQ(made->engines.remotes.size(), 1U);
  EXPECT_FALSE(made->engines.mlx.enabled);
}

}  // namespace
}  // namespace minerva::cli
