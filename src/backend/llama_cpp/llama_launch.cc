#include "backend/llama_cpp/llama_launch.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "base/checked.h"
#include "base/log.h"
#include "base/system.h"
#include "formats/gguf.h"
#include "process/environment.h"
#include "process/port.h"

namespace minerva::backend {
namespace {

namespace fs = std::filesystem;

// It pads a sequence's cells to 256, and stops one token before its context is full.
constexpr std::size_t kContextStep = 256;
// What it holds besides weights and keys and values: its code, its threads, graphs, the output's
// logits. Measured on b10434 after a load (PSS): 30 MiB with a model of less than 1 MiB, 42 MiB
// with one of 93 MiB, and 6 MiB more after a prompt. Larger ones have wider graphs.
constexpr std::uint64_t kOverheadBytes = std::uint64_t{48} << 20;
constexpr std::uint64_t kOverheadShare = 10;   // and of the weights, one part in so many
constexpr std::size_t kContextUnknown = 4096;  // of a model that does not say
// Each connection holds one of its threads: those of small calls, and some that are just ending.
constexpr std::uint32_t kSpareThreads = 6;

// Of one sequence.
std::uint64_t cells_of(std::size_t context) {
  return (std::uint64_t{context} / kContextStep + 1) * kContextStep;
}

std::string_view word(FlashAttention wanted) {
  switch (wanted) {
    case FlashAttention::On:
      return "on";
    case FlashAttention::Off:
      return "off";
    case FlashAttention::Auto:
      break;
  }
  return "auto";
}

Result<std::string> absolute_file(const std::string& path, std::string_view what) {
  std::error_code failed;
  const fs::path absolute = fs::absolute(path, failed);
  if (failed || !fs::is_regular_file(absolute, failed)) {
    return fail(ErrorCode::NotFound, fmt::format("{}: there is no such file ({})", path, what));
  }
  // It splits lists of files at commas, and takes what begins with a dash for a flag.
  return absolute.string();
}

// More of a name than a device has would only be an attempt to say something else.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.front() != '-' &&
         std::ranges::all_of(text, [](unsigned char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '_' || c == '.' || c == '-';
         });
}

Result<void> check_options(const LlamaOptions& options) {
  const auto check = [](const std::string& name, std::string_view field) -> Result<void> {
    if (name.empty() || is_name(name)) return {};
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} is {:?}, which is no name", field, name), std::string(field));
  };
  MINERVA_TRY(check(options.cache_type_k, "cache_type_k"));
  MINERVA_TRY(check(options.cache_type_v, "cache_type_v"));
  for (const std::string& device : options.devices) MINERVA_TRY(check(device, "devices"));
  if (options.parallel == 0 || options.parallel > 256) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("parallel is {}, but must be 1 to 256", options.parallel), "parallel");
  }
  return {};
}

std::string log_file(const ModelSpec& spec, const LlamaOptions& options) {
  if (options.log_folder.empty()) return {};
  std::string name = "llama_cpp-";
  for (const char c : spec.name) name.push_back(is_name(std::string_view(&c, 1)) ? c : '_');
  return (fs::path(options.log_folder) / (name.substr(0, 100) + ".log")).string();
}

unsigned threads_of(const LlamaOptions& options) {
  return options.threads != 0 ? options.threads : available_cpus();
}

Result<std::shared_ptr<const text::Tokenizer>> read_tokenizer(const ModelSpec& spec,
                                                              const LlamaOptions& options) {
  if (options.vocabulary) return options.vocabulary(spec);
  MINERVA_ASSIGN(const auto file, formats::GgufFile::open(spec.path));
  return text::Tokenizer::from_gguf(*file);
}

// None where it is of a kind that only llama.cpp knows: then the engine is asked.
std::shared_ptr<const text::Tokenizer> tokenizer_of(const ModelSpec& spec,
                                                    const LlamaOptions& options) {
  const auto tokenizer = read_tokenizer(spec, options);
  if (tokenizer) return *tokenizer;
  log_warning("{}: llama-server has to tokenize for it: {}", spec.name, tokenizer.error().message);
  return nullptr;
}

}  // namespace

std::uint64_t llama_kv_bytes(const ModelSpec& spec, const LlamaOptions& options,
                             std::size_t context) {
  const auto of_one = checked_mul<std::uint64_t>(spec.kv_bytes_per_token, cells_of(context));
  const auto of_all = of_one ? checked_mul<std::uint64_t>(*of_one, options.parallel) : of_one;
  return of_all.value_or(std::numeric_limits<std::uint64_t>::max());
}

Result<std::size_t> llama_context(const ModelSpec& spec, const LlamaOptions& options,
                                  std::size_t asked, std::uint64_t bytes_free) {
  const std::uint64_t trained =
      spec.trained_context != 0 ? spec.trained_context : std::uint64_t{kContextUnknown};
  if (asked != 0) {
    if (spec.trained_context != 0 && asked > trained) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("a context of {} tokens was asked for; the model was trained for {}",
                              asked, trained),
                  "context");
    }
    return asked;
  }
  std::uint64_t context = trained;
  if (options.context_default != 0) {
    context = std::min<std::uint64_t>(context, options.context_default);
  }
  const std::uint64_t per_token =
      checked_mul<std::uint64_t>(spec.kv_bytes_per_token, options.parallel)
          .value_or(std::numeric_limits<std::uint64_t>::max());
  if (per_token > 0) context = std::min(context, bytes_free / 2 / per_token);
  if (context >= std::min<std::uint64_t>(kLlamaContextMin, trained)) {
    return static_cast<std::size_t>(context);
  }
  return fail(ErrorCode::OutOfMemory,
              fmt::format("{} MiB are free; {} sequences of {} tokens need {} MiB for keys and "
                          "values",
                          bytes_free >> 20, options.parallel, kLlamaContextMin,
                          llama_kv_bytes(spec, options, kLlamaContextMin) >> 20),
              "context");
}

MemoryNeed llama_memory_need(const ModelSpec& spec, const LlamaOptions& options, std::size_t asked,
                             std::uint64_t bytes_total) {
  const std::size_t context =
      llama_context(spec, options, asked, bytes_total).value_or(kLlamaContextMin);
  const std::size_t least = asked != 0 ? asked : std::min(context, kLlamaContextMin);
  MemoryNeed need;
  need.weights_bytes = spec.size_bytes;
  need.kv_bytes = llama_kv_bytes(spec, options, context);
  const std::uint64_t overhead = kOverheadBytes + spec.size_bytes / kOverheadShare;
  need.overhead_bytes = overhead + (std::uint64_t{options.prompt_cache_mib} << 20);
  // The cache of prompts is filled by use only.
  need.least_bytes = need.weights_bytes + llama_kv_bytes(spec, options, least) + overhead;
  return need;
}

std::vector<std::string> llama_arguments(const ModelSpec& spec, const LlamaOptions& options,
                                         std::size_t context, const LlamaPaths& paths) {
  const std::uint64_t cells = cells_of(context) * options.parallel;
  std::vector<std::string> argv = {paths.program,
                                   "-m",
                                   spec.path,
                                   "--alias",
                                   "model",
                                   "--host",
                                   paths.socket,
                                   "--api-key-file",
                                   paths.key_file,
                                   "--no-slots",
                                   "--no-webui",
                                   "--offline",
                                   "--no-context-shift",
                                   "-c",
                                   std::to_string(cells),
                                   "-np",
                                   std::to_string(options.parallel),
                                   "--no-kv-unified",
                                   "--cache-ram",
                                   std::to_string(options.prompt_cache_mib),
                                   "-t",
                                   std::to_string(threads_of(options)),
                                   "--threads-http",
                                   std::to_string(options.parallel + kSpareThreads),
                                   "-fa",
                                   std::string(word(options.flash_attention))};
  const auto add = [&](std::string flag, std::string value) {
    argv.push_back(std::move(flag));
    argv.push_back(std::move(value));
  };
  if (spec.embeds) {
    argv.emplace_back("--embeddings");
    // A text has to fit into one step.
    if (options.batch == 0) add("-b", std::to_string(cells_of(context)));
    if (options.ubatch == 0) add("-ub", std::to_string(cells_of(context)));
  }
  if (options.threads_batch != 0) add("-tb", std::to_string(options.threads_batch));
  if (options.gpu_layers) add("-ngl", std::to_string(*options.gpu_layers));
  if (!options.devices.empty()) add("-dev", fmt::format("{}", fmt::join(options.devices, ",")));
  if (options.main_gpu) add("-mg", std::to_string(*options.main_gpu));
  if (!options.tensor_split.empty()) {
    add("-ts", fmt::format("{}", fmt::join(options.tensor_split, ",")));
  }
  if (options.mlock) argv.emplace_back("--mlock");
  if (!options.cache_type_k.empty()) add("-ctk", options.cache_type_k);
  if (!options.cache_type_v.empty()) add("-ctv", options.cache_type_v);
  if (options.batch != 0) add("-b", std::to_string(options.batch));
  if (options.ubatch != 0) add("-ub", std::to_string(options.ubatch));
  if (spec.mmproj_path) add("--mmproj", *spec.mmproj_path);
  for (const std::string& path : spec.adapter_paths) add("--lora", path);
  for (const LlamaAdapter& adapter : options.adapters) {
    add("--lora-scaled", fmt::format("{}:{}", adapter.path, adapter.scale));
  }
  argv.insert(argv.end(), options.extra_args.begin(), options.extra_args.end());
  return argv;
}

Result<LaunchPlan> plan_llama(const ModelSpec& spec, const LlamaOptions& options,
                              std::size_t context_size, const std::string& program) {
  MINERVA_TRY(check_options(options));
  ModelSpec files = spec;
  MINERVA_ASSIGN(files.path, absolute_file(spec.path, "the model"));
  if (spec.mmproj_path) {
    MINERVA_ASSIGN(files.mmproj_path, absolute_file(*spec.mmproj_path, "the vision projector"));
  }
  LlamaOptions checked = options;
  for (std::string& path : files.adapter_paths) {
    MINERVA_ASSIGN(path, absolute_file(path, "an adapter"));
  }
  for (LlamaAdapter& adapter : checked.adapters) {
    MINERVA_ASSIGN(adapter.path, absolute_file(adapter.path, "an adapter"));
  }
  for (const std::string& path : files.adapter_paths) {
    if (path.find(',') == path.npos) continue;
    return fail(ErrorCode::Unsupported,
                fmt::format("{}: llama-server cannot take a path with a comma", path));
  }

  LaunchPlan plan;
  MINERVA_ASSIGN(plan.model.context_size,
                 llama_context(spec, options, context_size, memory_info().available_bytes));
  plan.model.tokenizer = tokenizer_of(files, options);
  plan.model.name = "model";
  plan.model.embeds = spec.embeds;
  plan.model.generates = !spec.embeds;

  MINERVA_ASSIGN(auto folder, process::PrivateFolder::make(options.socket_prefix));
  plan.folder = std::make_shared<process::PrivateFolder>(std::move(folder));
  const std::string key = process::random_key();
  LlamaPaths paths;
  paths.program = program;
  paths.socket = plan.folder->path() + "/llama.sock";
  MINERVA_ASSIGN(paths.key_file, plan.folder->write_secret("key", key + "\n"));

  plan.upstream.name = "llama_cpp";
  plan.upstream.address.socket_path = paths.socket;
  plan.upstream.key = Secret(key);
  // What it cannot compute yet waits here, where it can be cancelled and is not taken for stuck.
  plan.upstream.connections_max = options.parallel;

  process::ChildOptions child;
  child.name = fmt::format("llama_cpp {}", spec.name);
  child.argv = llama_arguments(files, checked, plan.model.context_size, paths);
  child.environment = process::child_environment(options.environment, plan.folder->path(), {});
  child.working_directory = plan.folder->path();
  child.log_path = log_file(spec, options);
  child.cpus = threads_of(options);
  child.guard = options.guard;
  plan.child = std::move(child);
  return plan;
}

}  // namespace minerva::backend
