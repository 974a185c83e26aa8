#include "backend/isolated/isolated_kind.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "backend/isolated/isolated_wire.h"
#include "base/system.h"
#include "process/environment.h"

namespace minerva::backend {
namespace {

// The program, its threads' stacks and its sockets.
constexpr std::uint64_t kOverheadBytes = std::uint64_t{24} << 20;

std::string log_path(const IsolatedOptions& options, const ModelSpec& spec) {
  if (options.log_folder.empty()) return {};
  std::string name = spec.name.substr(0, 80);
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  std::ranges::replace_if(name, [&](char c) { return !plain(c); }, '-');
  return fmt::format("{}/native-{}.log", options.log_folder, name);
}

}  // namespace

Result<LaunchPlan> plan_isolated(const IsolatedOptions& options, const ModelSpec& spec,
                                 std::size_t context_size) {
  if (spec.mmproj_path || !spec.adapter_paths.empty()) {
    return fail(ErrorCode::Unsupported,
                "the native engine takes neither a vision projector nor adapters");
  }
  LaunchPlan plan;
  MINERVA_ASSIGN(plan.model.tokenizer, options.vocabulary(spec));
  plan.model.name = spec.name;
  MINERVA_ASSIGN(auto folder, process::PrivateFolder::make("minerva-engine-"));
  plan.folder = std::make_shared<process::PrivateFolder>(std::move(folder));
  EngineOptions engine = options.engine;
  engine.socket = plan.folder->path() + "/engine.sock";
  engine.model = spec.path;
  engine.name = spec.name;
  engine.context = context_size;

  process::ChildOptions child;
  child.name = fmt::format("native {}", spec.name);
  child.argv = {options.program, "engine"};
  for (std::string& argument : to_arguments(engine)) child.argv.push_back(std::move(argument));
  child.environment = process::child_environment(options.environment, plan.folder->path(), {});
  child.working_directory = plan.folder->path();
  child.log_path = log_path(options, spec);
  child.cpus = options.cpus;
  child.guard = options.guard;
  plan.child = std::move(child);
  plan.upstream.address.socket_path = engine.socket;
  plan.upstream.connections_max = options.engine.waiting_max + 1;  // and one for its health
  return plan;
}

std::unique_ptr<InferenceBackend> make_isolated(std::shared_ptr<const IsolatedOptions> options,
                                                UpstreamLoop& loop, const Clock& clock) {
  ChildBackendOptions child;
  child.wire = std::make_shared<IsolatedWire>();
  child.threads = options->engine.threads == 0 ? available_cpus() : options->engine.threads;
  child.running_max = options->engine.waiting_max;
  child.choices_max = IsolatedWire::kChoicesMax;
  child.ready_max = options->ready_max;
  child.ladder = options->ladder;
  // It queues fairly and says nothing meanwhile; supervision sees whether it moves.
  child.silence_max = Duration::zero();
  child.plan = [options = std::move(options)](const ModelSpec& spec, std::size_t context_size) {
    return plan_isolated(*options, spec, context_size);
  };
  return std::make_unique<ChildBackend>(std::move(child), loop, clock);
}

IsolatedKind::IsolatedKind(IsolatedOptions options, std::shared_ptr<EngineKind> native,
                           UpstreamLoop& loop, const Clock& clock)
    : options_(std::make_shared<const IsolatedOptions>(std::move(options))),
      native_(std::move(native)),
      loop_(loop),
      clock_(clock) {}

MemoryNeed IsolatedKind::memory_need(const ModelSpec& spec, std::size_t context_size) const {
  MemoryNeed need = native_->memory_need(spec, context_size);
  need.overhead_bytes += kOverheadBytes;
  return need;
}

Result<std::unique_ptr<InferenceBackend>> IsolatedKind::make() {
  return make_isolated(options_, loop_, clock_);
}

}  // namespace minerva::backend
