#include "backend/llama_cpp/llama_launch.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "backend/llama_cpp/llama_cpp.h"
#include "backend/llama_cpp/llama_wire.h"
#include "process/port.h"
#include "support/byte_vocab.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::string joined(const std::vector<std::string>& argv) {
  std::string out;
  for (const std::string& part : argv) out += part + " ";
  return out;
}

ModelSpec spec() {
  ModelSpec spec;
  spec.name = "m";
  spec.format = ModelFormat::Gguf;
  spec.path = "/models/m.gguf";
  spec.trained_context = 8192;
  spec.kv_bytes_per_token = 1024;
  return spec;
}

TEST(LlamaArguments, AreAClosedList) {
  const LlamaPaths paths{"/bin/llama-server", "/run/x/llama.sock", "/run/x/key"};
  LlamaOptions options;
  options.threads = 3;
  const std::string plain = joined(llama_arguments(spec(), options, 1000, paths));
  for (const char* wanted :
       {"/bin/llama-server -m /models/m.gguf ", "--host /run/x/llama.sock ",
        "--api-key-file /run/x/key ", "--no-slots ", "--no-webui ", "--offline ", "-c 4096 ",
        "-np 4 ", "--cache-ram 256 ", "-t 3 ", "-fa auto "}) {
    EXPECT_THAT(plain, HasSubstr(wanted));
  }
  for (const char* never : {"-hf", "--rpc", "--slot-save-path", "--sleep-idle", "--tools",
                            "--agent", "--api-key ", "-ngl", "--mlock", "--lora", "--mmproj"}) {
    EXPECT_THAT(plain, Not(HasSubstr(never)));
  }

  ModelSpec model = spec();
  model.mmproj_path = "/models/eye.gguf";
  model.adapter_paths = {"/models/lora.gguf"};
  options.gpu_layers = 7;
  options.devices = {"Vulkan0", "Vulkan1"};
  options.main_gpu = 1;
  options.tensor_split = {3, 1};
  options.flash_attention = FlashAttention::On;
  options.cache_type_k = "q8_0";
  options.cache_type_v = "q4_0";
  options.threads_batch = 5;
  options.batch = 512;
  options.ubatch = 128;
  options.mlock = true;
  options.adapters = {{"/models/other.gguf", 0.5F}};
  options.extra_args = {"--numa", "isolate"};
  EXPECT_THAT(joined(llama_arguments(model, options, 1000, paths)),
              HasSubstr("-fa on -tb 5 -ngl 7 -dev Vulkan0,Vulkan1 -mg 1 -ts 3,1 --mlock -ctk q8_0 "
                        "-ctv q4_0 -b 512 -ub 128 --mmproj /models/eye.gguf --lora "
                        "/models/lora.gguf --lora-scaled /models/other.gguf:0.5 --numa isolate "));
}

TEST(LlamaArguments, AModelForVectorsGetsStepsOfAWholeText) {
  const LlamaPaths paths{"/bin/llama-server", "/run/x/llama.sock", "/run/x/key"};
  LlamaOptions options;
  EXPECT_THAT(joined(llama_arguments(spec(), options, 1000, paths)), Not(HasSubstr("--embed")));
  ModelSpec model = spec();
  model.embeds = true;
  EXPECT_THAT(joined(llama_arguments(model, options, 1000, paths)),
              HasSubstr("--embeddings -b 1024 -ub 1024 "));
  options.batch = 64;
  options.ubatch = 64;
  EXPECT_THAT(joined(llama_arguments(model, options, 1000, paths)),
              HasSubstr("--embeddings -b 64 -ub 64 "));
}

TEST(LlamaContext, IsTheLeastOfWhatThereIs) {
  LlamaOptions options;
  options.parallel = 4;
  const std::uint64_t plenty = std::uint64_t{1} << 40;
  EXPECT_EQ(llama_context(spec(), options, 0, plenty), 8192U);
  EXPECT_EQ(llama_context(spec(), options, 777, plenty), 777U);
  EXPECT_EQ(llama_context(spec(), options, 9000, plenty).error().param, "context");
  // 4 KiB a token for four sequences; half of 8 MiB holds 1024 of them.
  EXPECT_EQ(llama_context(spec(), options, 0, 8 << 20), 1024U);
  EXPECT_EQ(llama_context(spec(), options, 0, 1 << 16).error().code, ErrorCode::OutOfMemory);
  options.context_default = 2048;
  EXPECT_EQ(llama_context(spec(), options, 0, plenty), 2048U);
  ModelSpec unknown;
  EXPECT_EQ(llama_context(unknown, options, 0, plenty), 2048U);
  unknown.kv_bytes_per_token = std::uint64_t{1} << 62;
  EXPECT_FALSE(llama_context(unknown, options, 0, plenty));
}

TEST(LlamaNeed, CountsTheContextThatItGetsAloneAndTheLeast) {
  LlamaOptions options;
  options.parallel = 4;
  const std::uint64_t plenty = std::uint64_t{1} << 40;
  const MemoryNeed need = llama_memory_need(spec(), options, 0, plenty);
  EXPECT_EQ(need.weights_bytes, spec().size_bytes);
  EXPECT_EQ(need.kv_bytes, llama_kv_bytes(spec(), options, 8192));
  const std::uint64_t cache = std::uint64_t{options.prompt_cache_mib} << 20;
  EXPECT_EQ(need.least_bytes + need.kv_bytes + cache,
            need.total() + llama_kv_bytes(spec(), options, kLlamaContextMin));
  // What was measured with a model of 93 MiB: 42 MiB and 6 for a prompt. No more than twice that.
  ModelSpec small = spec();
  small.size_bytes = 93ULL << 20;
  const std::uint64_t overhead =
      llama_memory_need(small, options, 512, plenty).overhead_bytes - cache;
  EXPECT_GE(overhead, 48ULL << 20);
  EXPECT_LE(overhead, 96ULL << 20);
  // Cells come in steps of 256, and one more than the context.
  EXPECT_EQ(llama_kv_bytes(small, options, 512), 768 * small.kv_bytes_per_token * options.parallel);
  const MemoryNeed asked = llama_memory_need(spec(), options, 777, plenty);
  EXPECT_EQ(asked.least_bytes + cache, asked.total());
  // Where hardly any context fits, keys and values still count.
  EXPECT_GT(llama_memory_need(spec(), options, 0, 1 << 16).kv_bytes, 0U);
}

class LlamaPlan : public ::testing::Test {
 protected:
  LlamaPlan() {
    std::ofstream out(model_, std::ios::binary);
    const auto bytes = test::byte_vocab().bytes();
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
  }
  ModelSpec model() const {
    ModelSpec model = spec();
    model.path = model_;
    return model;
  }
  const process::PrivateFolder folder_ = *process::PrivateFolder::make("minerva-plan-");
  const std::string model_ = folder_.path() + "/m.gguf";
};

TEST_F(LlamaPlan, KeepsTheKeyOutOfSight) {
  LlamaOptions options;
  options.environment = {"PATH=/bin", "LD_PRELOAD=x", "LLAMA_ARG_HOST=0.0.0.0", "HF_TOKEN=secret",
                         "HTTP_PROXY=x"};
  const auto plan = plan_llama(model(), options, 100, "/bin/llama-server");
  ASSERT_TRUE(plan) << plan.error().message;
  const std::string key = plan->upstream.key.reveal();
  EXPECT_EQ(key.size(), 64U);
  EXPECT_THAT(joined(plan->child->argv), Not(HasSubstr(key)));
  EXPECT_THAT(joined(plan->child->environment), Not(HasSubstr(key)));
  for (const char* name : {"LD_PRELOAD", "LLAMA_ARG", "HF_TOKEN", "HTTP_PROXY"}) {
    EXPECT_THAT(joined(plan->child->environment), Not(HasSubstr(name)));
  }
  const fs::path file = plan->folder->path() + "/key";
  EXPECT_EQ(fs::status(file).permissions() & fs::perms::mask,
            fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::status(plan->folder->path()).permissions() & fs::perms::mask, fs::perms::owner_all);
  EXPECT_NE(plan_llama(model(), options, 100, "/bin/llama-server")->upstream.key.reveal(), key);
}

TEST_F(LlamaPlan, RefusesWhatIsNotThere) {
  ModelSpec broken = model();
  broken.adapter_paths = {"/nonexistent/lora.gguf"};
  EXPECT_THAT(plan_llama(broken, {}, 100, "/x").error().message, HasSubstr("/nonexistent/lora"));
  broken = model();
  broken.mmproj_path = "/nonexistent/eye.gguf";
  EXPECT_EQ(plan_llama(broken, {}, 100, "/x").error().code, ErrorCode::NotFound);
  LlamaOptions options;
  for (const char* name : {"--rpc", "a b", "x,y", ""}) {
    options.devices = {name};
    const auto plan = plan_llama(model(), options, 100, "/x");
    EXPECT_EQ(plan.has_value(), *name == '\0') << name;
  }
  options.devices.clear();
  options.parallel = 0;
  EXPECT_EQ(plan_llama(model(), options, 100, "/x").error().param, "parallel");
}

TEST(LlamaVersion, IsReadFromWhatItPrints) {
  EXPECT_EQ(llama_version("version: 10434 (7e4c0a9)"), "b10434");
  EXPECT_EQ(llama_version("version: 0.1.0 (build 9060, commit 7e4c0a9)\n"), "b9060");
  // Built without its history.
  EXPECT_EQ(llama_version("version: 0.1.0-dev (build 1, commit 7e4c0a9)"),
            "0.1.0-dev (build 1, commit 7e4c0a9)");
  EXPECT_EQ(llama_version("built with GNU 11.4.0"), "");
  EXPECT_THAT(llama_version_warning("b9060").value_or(""), HasSubstr("b9061"));
  EXPECT_FALSE(llama_version_warning("b9061"));
  EXPECT_FALSE(llama_version_warning("0.1.0-dev (build 1, commit 7e4c0a9)"));
}

TEST(LlamaCppKind, IsFoundInPathAndInPackages) {
  const auto folder = process::PrivateFolder::make("minerva-find-");
  ASSERT_TRUE(folder);
  const fs::path root = folder->path();
  const auto program = [](const fs::path& path, bool executable) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "#!/bin/sh\n";
    if (executable) fs::permissions(path, fs::perms::owner_all);
    return path.string();
  };
  const std::string in_path = program(root / "bin" / "llama-server", true);
  program(root / "other" / "llama-server", false);
  const std::string packaged =
      program(root / "venv/lib/python3.11/site-packages/skulk_llama/bin/llama-server", true);
  LlamaOptions options;
  options.search_path =
      fmt::format("relative:{}:{}", (root / "other").string(), (root / "bin").string());
  options.pythons = {(root / "venv/bin/python").string()};
  EXPECT_EQ(find_llama_servers(options), (std::vector<std::string>{in_path, packaged}));
  options.program = "/configured/llama-server";
  EXPECT_EQ(find_llama_servers(options), (std::vector<std::string>{options.program}));

  UpstreamLoop loop;
  SteadyClock clock;
  LlamaCppKind missing(options, loop, clock);
  const Availability found = missing.probe(std::chrono::seconds(1));
  EXPECT_FALSE(found.available);
  EXPECT_THAT(found.why_not, HasSubstr("/configured/llama-server"));
  EXPECT_FALSE(found.install.empty());
  ModelSpec folder_of_mlx;
  folder_of_mlx.format = ModelFormat::Mlx;
  EXPECT_TRUE(missing.objection(folder_of_mlx));
  EXPECT_FALSE(missing.objection(spec()));
}

TEST(LlamaWire, BuildsTheWholeRequestItself) {
  GenerateRequest request;
  request.sampling.temperature = 0.5F;
  request.sampling.top_k = -3;
  request.sampling.repetition_window = 0;
  request.sampling.logit_bias = {{5, -1.5F}};
  request.ignore_end_of_generation = true;
  request.logprobs = 0;
  WireRequest ask{request};
  ask.tokens = {1, 2, 3};
  ask.max_tokens = 9;
  ask.seed = std::uint64_t{1} << 40;
  WireModel model;
  model.context_size = 100;
  const auto call = LlamaWire().generate_call(ask, model);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->path, "/completion");
  const auto body = *wire::parse_json(call->body);
  EXPECT_EQ(body["prompt"], (wire::Json{1, 2, 3}));
  EXPECT_EQ(body["n_predict"], 9);
  EXPECT_EQ(body["temperature"], 0.5);
  EXPECT_EQ(body["top_k"], 0);
  EXPECT_EQ(body["repeat_last_n"], 100);
  EXPECT_EQ(body["logit_bias"], (wire::Json::array({wire::Json::array({5, -1.5})})));
  EXPECT_EQ(body["n_probs"], 1);
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["ignore_eos"], true);
  // 32 bits, and never the one that asks for another.
  EXPECT_LT(body["seed"].get<std::uint64_t>(), 0xffffffffU);
  for (const char* name : {"min_p", "top_p", "typical_p", "repeat_penalty", "presence_penalty",
                           "frequency_penalty", "samplers", "mirostat", "dry_multiplier"}) {
    EXPECT_TRUE(body.contains(name)) << name;
  }
  ask.tokens.clear();
  ask.text = "a\"b";
  EXPECT_EQ((*wire::parse_json(LlamaWire().generate_call(ask, model)->body))["prompt"], "a\"b");
}

}  // namespace
}  // namespace minerva::backend
