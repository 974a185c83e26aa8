#include "app/engine_set.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "app/engine_server.h"
#include "backend/isolated/isolated_kind.h"
#include "backend/llama_cpp/llama_cpp.h"
#include "backend/mlx/mlx_kind.h"
#include "backend/native/native_kind.h"
#include "backend/remote/remote_kind.h"
#include "base/mapped_file.h"
#include "base/secret.h"
#include "models/code_scan.h"
#include "models/folder_model.h"
#include "models/model_folder.h"

namespace minerva::app {
namespace {

constexpr std::size_t kKeyBytesMax = 4096;

// This binary with the verb of the guards (process/guard.h).
std::vector<std::string> guard_command() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return {error ? "/proc/self/exe" : self.string(), "guard"};
}

std::string variable(std::span<const std::string> environment, std::string_view name) {
  for (const std::string& entry : environment) {
    if (entry.starts_with(name) && entry.size() > name.size() && entry[name.size()] == '=') {
      return entry.substr(name.size() + 1);
    }
  }
  return {};
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) words.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return words;
}

Result<float> number(std::string_view setting, std::string_view text) {
  float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size()) return value;
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{} takes numbers parted by commas, not \"{}\"", setting, text));
}

// The configuration has checked the range.
std::optional<std::uint32_t> narrowed(std::optional<std::uint64_t> value) {
  return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
}

// The file's first line.
Result<Secret> read_key(const std::string& path) {
  MINERVA_ASSIGN(const auto file, MappedFile::open(path));
  const auto bytes = file->bytes();
  std::string text(reinterpret_cast<const char*>(bytes.data()),
                   std::min<std::size_t>(bytes.size(), kKeyBytesMax));
  text.resize(std::min(text.size(), text.find_first_of("\r\n")));
  if (!text.empty()) return Secret(std::move(text));
  return fail(ErrorCode::InvalidArgument, fmt::format("{}: there is no key in it", path));
}

auto vocabulary_of(const std::shared_ptr<models::VocabularyCache>& cache) {
  return [cache](const backend::ModelSpec& spec) -> Result<std::shared_ptr<const text::Tokenizer>> {
    MINERVA_ASSIGN(const auto vocabulary, cache->get(spec.path));
    return vocabulary->tokenizer;
  };
}

}  // namespace

Result<std::unique_ptr<EngineSet>> EngineSet::make(const cli::Configuration& configuration,
                                                   EngineSetOptions options, const Clock& clock,
                                                   Metrics& metrics) {
  std::unique_ptr<EngineSet> set(new EngineSet);
  MINERVA_ASSIGN(set->compute_, cli::make_compute(configuration.settings));
  set->loop_ = std::make_unique<backend::UpstreamLoop>();
  set->add_native(configuration, options, clock, metrics);
  set->add_isolated(configuration, options, clock);
  MINERVA_TRY(set->add_llama_cpp(configuration, options, clock));
  set->add_mlx(configuration, options, clock);
  MINERVA_TRY(set->add_remotes(configuration, options, clock));
  return set;
}

void EngineSet::add_native(const cli::Configuration& configuration, const EngineSetOptions& options,
                           const Clock& clock, Metrics& metrics) {
  const cli::Settings& settings = configuration.settings;
  backend::NativeOptions native;
  native.numerics = compute_.numerics;
  native.context_default = static_cast<std::size_t>(settings.context);
  native.kv_bytes_max = settings.kv_memory;
  native.waiting_max = static_cast<std::size_t>(settings.queue);
  native.vocabulary = vocabulary_of(vocabularies_);
  native.open = [](const backend::ModelSpec& spec) { return models::open_model(spec.path); };
  native.progress = options.progress;
  kinds_.push_back(std::make_shared<backend::NativeKind>(
      std::move(native), *compute_.pool, *compute_.kernels, clock, metrics, options.version));
}

Result<void> EngineSet::add_llama_cpp(const cli::Configuration& configuration,
                                      const EngineSetOptions& options, const Clock& clock) {
  const cli::LlamaCppSettings& settings = configuration.engines.llama_cpp;
  if (!settings.enabled) return {};
  backend::LlamaOptions llama;
  llama.program = settings.path;
  llama.search_path = variable(options.environment, "PATH");
  if (!settings.python.empty()) llama.pythons.push_back(settings.python);
  // Where ./dev and the tests put it.
  if (llama.program.empty()) llama.program = variable(options.environment, "MINERVA_LLAMA_SERVER");
  llama.guard = guard_command();
  llama.environment = options.environment;
  llama.gpu_layers = narrowed(settings.gpu_layers);
  if (!settings.device.empty()) llama.devices = split(settings.device);
  llama.main_gpu = narrowed(settings.main_gpu);
  for (const std::string& share : split(settings.tensor_split)) {
    MINERVA_ASSIGN(const float value, number("backends.llama_cpp.tensor_split", share));
    llama.tensor_split.push_back(value);
  }
  llama.threads = narrowed(settings.threads).value_or(compute_.pool->size());
  llama.threads_batch = narrowed(settings.threads_batch).value_or(0);
  llama.mlock = settings.mlock;
  llama.context_default = static_cast<std::size_t>(configuration.settings.context);
  if (settings.parallel) llama.parallel = *narrowed(settings.parallel);
  if (settings.flash_attention == "on") llama.flash_attention = backend::FlashAttention::On;
  if (settings.flash_attention == "off") llama.flash_attention = backend::FlashAttention::Off;
  llama.cache_type_k = settings.cache_type_k;
  llama.cache_type_v = settings.cache_type_v;
  llama.batch = narrowed(settings.batch).value_or(0);
  llama.ubatch = narrowed(settings.ubatch).value_or(0);
  llama.extra_args = settings.extra_args;
  llama.vocabulary = vocabulary_of(vocabularies_);
  kinds_.push_back(std::make_shared<backend::LlamaCppKind>(std::move(llama), *loop_, clock));
  return {};
}

void EngineSet::add_isolated(const cli::Configuration& configuration,
                             const EngineSetOptions& options, const Clock& clock) {
  const cli::Settings& settings = configuration.settings;
  backend::IsolatedOptions isolated;
  isolated.guard = guard_command();
  isolated.program = isolated.guard.front();
  isolated.environment = options.environment;
  isolated.engine.context_default = static_cast<std::size_t>(settings.context);
  isolated.engine.kv_bytes_max = settings.kv_memory;
  isolated.engine.waiting_max = static_cast<std::size_t>(settings.queue);
  isolated.engine.threads = compute_.pool->size();
  isolated.engine.isa = settings.isa;
  isolated.engine.numerics = settings.numerics;
  isolated.vocabulary = vocabulary_of(vocabularies_);
  isolated_ =
      std::make_shared<backend::IsolatedKind>(std::move(isolated), kinds_.front(), *loop_, clock);
}

void EngineSet::add_mlx(const cli::Configuration& configuration, const EngineSetOptions& options,
                        const Clock& clock) {
  const cli::MlxSettings& settings = configuration.engines.mlx;
  if (!settings.enabled) return;
  backend::MlxOptions mlx;
  mlx.python = settings.python;
  if (mlx.python.empty()) mlx.python = variable(options.environment, "MINERVA_MLX_PYTHON");
  mlx.environment = options.environment;
  mlx.guard = guard_command();
  mlx.vocabulary = vocabulary_of(vocabularies_);
  // Once more, right before a Python sees it: the folder may have changed since it was listed.
  mlx.check_folder =
      [allowed = configuration.rules.allow_code](const backend::ModelSpec& spec) -> Result<void> {
    MINERVA_ASSIGN(const models::ModelFolder folder, models::ModelFolder::open(spec.path));
    return models::check_code(folder, allowed);
  };
  mlx.context_default = static_cast<std::size_t>(configuration.settings.context);
  if (settings.prefill_step) mlx.prefill_step = *narrowed(settings.prefill_step);
  if (settings.prompt_cache_bytes) mlx.prompt_cache_bytes = *settings.prompt_cache_bytes;
  if (settings.prompt_cache_size) mlx.prompt_cache_entries = *narrowed(settings.prompt_cache_size);
  if (settings.connections) mlx.connections_max = *narrowed(settings.connections);
  kinds_.push_back(std::make_shared<backend::MlxKind>(std::move(mlx), *loop_, clock));
}

Result<void> EngineSet::add_remotes(const cli::Configuration& configuration,
                                    const EngineSetOptions& options, const Clock& clock) {
  for (const cli::RemoteSettings& settings : configuration.engines.remotes) {
    const std::string where = fmt::format("remotes.{}", settings.name);
    backend::RemoteOptions remote;
    remote.name = settings.name;
    remote.urls = settings.urls;
    if (!settings.key_env.empty()) {
      remote.key = Secret(variable(options.environment, settings.key_env));
      if (remote.key.empty()) {
        return fail(ErrorCode::InvalidArgument,
                    fmt::format("{}.key_env: the environment has no {}", where, settings.key_env));
      }
    } else if (!settings.key_file.empty()) {
      MINERVA_ASSIGN(remote.key, read_key(settings.key_file));
    }
    remote.models = settings.models;
    if (settings.mode == "chat") remote.mode = backend::RemoteMode::Chat;
    if (settings.mode == "completions") remote.mode = backend::RemoteMode::Completions;
    remote.insecure = settings.insecure;
    remote.ca_file = settings.ca_file;
    auto kind = backend::RemoteKind::make_kind(std::move(remote), *loop_, clock);
    if (!kind) return fail(std::move(kind).error().in(where));
    kinds_.push_back(std::move(*kind));
  }
  return {};
}

Result<std::vector<std::shared_ptr<backend::EngineKind>>> find_engines(
    const cli::Configuration& configuration, const std::string& version,
    std::vector<std::string> environment) {
  struct Kept {
    SteadyClock clock;
    NoMetrics metrics;
    std::unique_ptr<EngineSet> set;
  };
  const auto kept = std::make_shared<Kept>();
  MINERVA_ASSIGN(kept->set, EngineSet::make(configuration, {std::move(environment), version, {}},
                                            kept->clock, kept->metrics));
  std::vector<std::shared_ptr<backend::EngineKind>> kinds;
  for (const auto& kind : kept->set->kinds()) kinds.emplace_back(kept, kind.get());
  return kinds;
}

}  // namespace minerva::app
