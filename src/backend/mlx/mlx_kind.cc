#include "backend/mlx/mlx_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "backend/mlx/mlx_probe.h"
#include "backend/mlx/mlx_wire.h"
#include "backend/mlx/vlm_wire.h"
#include "process/port.h"

namespace minerva::backend {
namespace {

// Python, its libraries and a loaded tokenizer, measured: 369 MiB with a model of 148 MiB.
constexpr std::uint64_t kOverheadBytes = std::uint64_t{300} << 20;

Result<std::size_t> choose_context(const MlxOptions& options, const ModelSpec& spec,
                                   std::size_t asked) {
  if (spec.trained_context != 0 && asked > spec.trained_context) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("a context of {} tokens was asked for; the model was trained for {}",
                            asked, spec.trained_context),
                "context");
  }
  if (asked != 0) return asked;
  std::size_t context = spec.trained_context;
  if (options.context_default != 0) {
    context = context == 0 ? options.context_default : std::min(context, options.context_default);
  }
  return context;
}

Result<std::shared_ptr<const text::Tokenizer>> tokenizer_of(const MlxOptions& options,
                                                            const ModelSpec& spec) {
  if (!options.vocabulary) return std::shared_ptr<const text::Tokenizer>();
  auto tokenizer = options.vocabulary(spec);
  if (!tokenizer) {
    // The engine has one of its own; Minerva then counts no tokens.
    if (tokenizer.error().code == ErrorCode::Unsupported)
      return std::shared_ptr<const text::Tokenizer>();
    return tokenizer;
  }
  if ((*tokenizer)->find("<|open|>") && (*tokenizer)->find("<|sep|>") &&
      (*tokenizer)->find("<|end_of_msg|>")) {
    return fail(
        ErrorCode::Unsupported,
        fmt::format("mlx_lm.server takes the marks of {}'s messages out of its answers, and "
                    "they cannot be put back",
                    spec.name));
  }
  return tokenizer;
}

std::string log_path(const MlxOptions& options, const ModelSpec& spec) {
  if (options.log_folder.empty()) return {};
  std::string name = spec.name.substr(0, 80);
  std::ranges::replace_if(
      name,
      [](char c) {
        return !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z');
      },
      '-');
  return fmt::format("{}/mlx-{}.log", options.log_folder, name);
}

// Its key is in its environment, since every user may read a command line.
std::vector<std::string> vlm_arguments(const MlxOptions& options, const std::string& python,
                                       const ModelSpec& spec, std::uint16_t port) {
  return {python,
          "-P",
          "-m",
          "mlx_vlm.server",
          "--model",
          spec.path,
          "--host",
          "127.0.0.1",  // its default is every address
          "--port",
          std::to_string(port),
          "--log-level",
          "WARNING",
          "--max-tokens",
          "1",
          "--prefill-step-size",
          std::to_string(options.prefill_step),
          "--max-num-seqs",
          std::to_string(options.decode_concurrency)};
}

std::vector<std::string> arguments(const MlxOptions& options, const std::string& python,
                                   const ModelSpec& spec, std::uint16_t port) {
  return {python,
          "-P",  // what lies in the working folder is not imported
          "-m",
          "mlx_lm",
          "server",
          "--model",
          spec.path,
          "--host",
          "127.0.0.1",
          "--port",
          std::to_string(port),
          "--allowed-origins",
          "http://127.0.0.1",
          "--chat-template",
          std::string(kMlxTemplate),
          "--log-level",
          "WARNING",  // at DEBUG it prints prompts
          "--max-tokens",
          "1",  // for requests that name no limit; ours always do
          "--prefill-step-size",
          std::to_string(options.prefill_step),
          "--prompt-cache-size",
          std::to_string(options.prompt_cache_entries),
          "--prompt-cache-bytes",
          std::to_string(options.prompt_cache_bytes),
          "--decode-concurrency",
          std::to_string(options.decode_concurrency),
          "--prompt-concurrency",
          std::to_string(options.prompt_concurrency)};
}

}  // namespace

MlxServer mlx_server_for(const ModelSpec& spec, std::string_view found_version) {
  const bool installed = found_version.find("mlx-vlm ") != std::string_view::npos;
  return spec.sees && installed ? MlxServer::Vlm : MlxServer::Lm;
}

std::optional<std::string> mlx_objection(const ModelSpec& spec) {
  if (spec.format != ModelFormat::Mlx && spec.format != ModelFormat::Safetensors) {
    return fmt::format("reads MLX and Hugging Face folders, and this model is {}",
                       to_string(spec.format));
  }
  if (!spec.own_code.empty()) return spec.own_code;
  if (spec.mmproj_path || !spec.adapter_paths.empty()) {
    return "takes neither a vision projector nor adapters here";
  }
  return std::nullopt;
}

Result<LaunchPlan> plan_mlx(const MlxOptions& options, const ModelSpec& spec,
                            std::size_t context_size, MlxServer server) {
  if (const auto objection = mlx_objection(spec)) return fail(ErrorCode::Unsupported, *objection);
  std::error_code error;
  if (spec.path.empty() || spec.path.front() != '/' ||
      !std::filesystem::is_directory(spec.path, error)) {
    return fail(ErrorCode::NotFound, fmt::format("{} is no folder", spec.path));
  }
  if (!options.check_folder) {
    return fail(ErrorCode::Internal, "nobody has looked for code in the model's folder");
  }
  MINERVA_TRY(options.check_folder(spec));
  LaunchPlan plan;
  MINERVA_ASSIGN(plan.model.tokenizer, tokenizer_of(options, spec));
  MINERVA_ASSIGN(plan.model.context_size, choose_context(options, spec, context_size));
  plan.model.name = "default_model";
  MINERVA_ASSIGN(const std::string python, find_mlx_python(options));
  MINERVA_ASSIGN(auto folder, process::PrivateFolder::make("minerva-mlx-"));
  plan.folder = std::make_shared<process::PrivateFolder>(std::move(folder));
  const std::string& home = plan.folder->path();
  std::filesystem::create_directories(home + "/hf/hub", error);
  if (error) return fail(ErrorCode::Io, fmt::format("{}: {}", home, error.message()));
  std::uint16_t port = options.port;
  if (port == 0) {
    MINERVA_ASSIGN(port, process::free_loopback_port());
  }

  process::ChildOptions child;
  child.name = fmt::format("mlx {}", spec.name);
  child.argv = arguments(options, python, spec, port);
  child.environment = mlx_environment(options, home);
  if (server == MlxServer::Vlm) {
    const std::string key = process::random_key();
    child.argv = vlm_arguments(options, python, spec, port);
    child.environment.push_back("MLX_VLM_SERVER_API_KEY=" + key);
    plan.upstream.key = Secret(key);
    plan.model.name = spec.path;  // a request with any other would load that
    plan.wire = std::make_shared<VlmWire>();
  }
  child.working_directory = home;
  child.log_path = log_path(options, spec);
  child.cpus = options.cpus;
  child.guard = options.guard;
  plan.child = std::move(child);
  plan.upstream.address.port = port;
  plan.upstream.connections_max = options.connections_max;
  plan.upstream.fresh_retries = 3;
  plan.prove_port = true;
  return plan;
}

MlxKind::MlxKind(MlxOptions options, UpstreamLoop& loop, const Clock& clock)
    : options_(std::make_shared<const MlxOptions>(std::move(options))),
      loop_(loop),
      clock_(clock) {}

Availability MlxKind::probe(Duration time_max) {
  const auto python = find_mlx_python(*options_);
  const std::string fingerprint = python ? mlx_fingerprint(*python) : std::string();
  {
    const std::lock_guard lock(mutex_);
    if (!fingerprint.empty() && fingerprint == probed_) return found_;
  }
  Availability found = probe_mlx(*options_, time_max);
  const std::lock_guard lock(mutex_);
  // That it was not found may be of this moment only: it may have been too slow to say.
  probed_ = found.available ? fingerprint : std::string();
  found_ = found;
  return found;
}

std::string MlxKind::found_version() const {
  const std::lock_guard lock(mutex_);
  return found_.available ? found_.version : std::string();
}

MlxServer MlxKind::server_for(const ModelSpec& spec) const {
  return mlx_server_for(spec, found_version());
}

std::optional<std::string> MlxKind::objection(const ModelSpec& spec) const {
  return mlx_objection(spec);
}

// As if the tokenizer were known, which it is for most; the loaded backend says it exactly.
Capabilities MlxKind::capabilities(const ModelSpec& spec) const {
  if (server_for(spec) == MlxServer::Vlm) {
    Capabilities c = VlmWire().capabilities({});
    c.logit_bias = Support::Yes;
    c.tokenize = Support::Yes;
    return c;
  }
  Capabilities c = MlxWire().capabilities({});
  c.token_prompts = Support::BestEffort;
  c.logit_bias = Support::Yes;
  c.tokenize = Support::Yes;
  return c;
}

MemoryNeed MlxKind::memory_need(const ModelSpec& spec, std::size_t context_size) const {
  MemoryNeed need;
  need.weights_bytes = spec.size_bytes;
  const std::size_t context =
      choose_context(*options_, spec, context_size).value_or(spec.trained_context);
  need.kv_bytes = spec.kv_bytes_per_token * context + options_->prompt_cache_bytes;
  need.overhead_bytes = kOverheadBytes;
  return need;
}

Result<std::unique_ptr<InferenceBackend>> MlxKind::make() {
  ChildBackendOptions options;
  options.wire = std::make_shared<MlxWire>();
  options.plan = [mlx = options_, found = found_version()](const ModelSpec& spec,
                                                           std::size_t context_size) {
    return plan_mlx(*mlx, spec, context_size, mlx_server_for(spec, found));
  };
  options.threads = std::max(options_->cpus, 1U);
  options.ready_max = options_->ready_max;
  options.ladder = options_->ladder;
  return std::make_unique<ChildBackend>(std::move(options), loop_, clock_);
}

}  // namespace minerva::backend
