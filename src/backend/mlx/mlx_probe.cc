#include "backend/mlx/mlx_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "process/environment.h"
#include "process/port.h"

namespace minerva::backend {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kProgram =
    "import importlib.metadata as m\n"
    "import mlx.core as mx\n"
    "def version(name):\n"
    "    try: return m.version(name)\n"
    "    except m.PackageNotFoundError: return ''\n"
    "lm = m.version('mlx-lm')\n"
    "vlm = version('mlx-vlm')\n"
    "print('minerva-probe', 'mlx-lm ' + lm + ', mlx ' + mx.__version__\n"
    "      + (', mlx-vlm ' + vlm if vlm else ''), mx.default_device(), sep='|')\n";
constexpr std::string_view kPlainMark = "minerva-probe|";

std::string_view value_of(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string_view entry : environment) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=')
      return entry.substr(name.size() + 1);
  }
  return {};
}

bool executable(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  constexpr fs::perms kAny = fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;
  return !error && fs::is_regular_file(status) && (status.permissions() & kAny) != fs::perms::none;
}

std::optional<fs::path> on_path(std::string_view path, std::string_view name) {
  while (!path.empty()) {
    const std::size_t colon = std::min(path.find(':'), path.size());
    const fs::path candidate = fs::path(path.substr(0, colon)) / name;
    // A relative entry would mean another file in each folder that we are started in.
    if (candidate.is_absolute() && executable(candidate)) return candidate;
    path.remove_prefix(std::min(colon + 1, path.size()));
  }
  return std::nullopt;
}

std::string install_command(const std::string& python) {
#ifdef __APPLE__
  constexpr std::string_view kPackage = "mlx-lm";
#else
  constexpr std::string_view kPackage = "\"mlx-lm[cpu]\"";  // mlx alone brings no library here
#endif
  return fmt::format("{} -m pip install {}", python.empty() ? "python3" : python, kPackage);
}

}  // namespace

std::string script_interpreter(std::string_view first_line) {
  if (!first_line.starts_with("#!/")) return {};
  first_line.remove_prefix(2);
  const std::size_t end = first_line.find_first_of(" \t\r\n");
  const std::string_view program = first_line.substr(0, end);
  // "#!/usr/bin/env python3" says no more than PATH does.
  return program.ends_with("/env") ? std::string() : std::string(program);
}

Result<std::string> find_mlx_python(const MlxOptions& options) {
  if (!options.python.empty()) {
    if (options.python.front() == '/' && executable(options.python)) return options.python;
    return fail(ErrorCode::NotFound,
                fmt::format("{} is configured as mlx's Python, but is no program with an absolute "
                            "path",
                            options.python));
  }
  const std::string_view path = value_of(options.environment, "PATH");
  if (const auto script = on_path(path, "mlx_lm.server")) {
    std::ifstream file(*script);
    std::string line(256, '\0');
    file.read(line.data(), static_cast<std::streamsize>(line.size()));
    line.resize(static_cast<std::size_t>(file.gcount()));
    std::string python = script_interpreter(line);
    if (!python.empty() && executable(python)) return python;
  }
  if (const auto python = on_path(path, "python3")) return python->string();
  return fail(ErrorCode::NotFound, "PATH has neither mlx_lm.server nor python3");
}

std::string mlx_fingerprint(const std::string& python) {
  std::error_code error;
  const auto time_of = [&](const fs::path& path) {
    return fs::last_write_time(path, error).time_since_epoch().count();
  };
  std::string out = fmt::format("{}|{}", python, time_of(python));
  // Installing and removing packages changes the folder beside the interpreter.
  const fs::path library = fs::path(python).parent_path().parent_path() / "lib";
  for (fs::directory_iterator at(library, error), end; !error && at != end; at.increment(error)) {
    if (!at->path().filename().string().starts_with("python3")) continue;
    for (const char* name : {"site-packages", "dist-packages"}) {
      out += fmt::format("|{}", time_of(at->path() / name));
    }
  }
  return out;
}

std::vector<std::string> mlx_environment(const MlxOptions& options, const std::string& folder) {
  std::vector<std::pair<std::string, std::string>> extra = {
      // A folder that exists and is empty: without it /v1/models has an empty body.
      {"HF_HOME", folder + "/hf"},
      {"HF_HUB_OFFLINE", "1"},
      {"TRANSFORMERS_OFFLINE", "1"},
      {"HF_HUB_DISABLE_TELEMETRY", "1"},
      {"DO_NOT_TRACK", "1"},
      {"HF_HUB_DISABLE_PROGRESS_BARS", "1"},
      {"TOKENIZERS_PARALLELISM", "false"},
      {"PYTHONUNBUFFERED", "1"},
      {"PYTHONDONTWRITEBYTECODE", "1"},
      {"PYTHONIOENCODING", "utf-8"},
  };
  // Packages that were installed with --user stay visible, though HOME is another.
  if (const auto home = value_of(options.environment, "HOME"); !home.empty()) {
    extra.emplace_back("PYTHONUSERBASE", std::string(home) + "/.local");
  }
  return process::child_environment(options.environment, folder, extra);
}

Availability probe_mlx(const MlxOptions& options, Duration time_max) {
  Availability found;
  const auto python = find_mlx_python(options);
  found.install = install_command(python.value_or(""));
  if (!python) {
    found.why_not = python.error().message;
    return found;
  }
  found.path = *python;
  const auto folder = process::PrivateFolder::make("minerva-mlx-");
  if (!folder) {
    found.why_not = folder.error().message;
    return found;
  }
  process::ChildOptions child;
  child.name = "mlx probe";
  // -P: what lies in the working folder is not imported.
  child.argv = {*python, "-P", "-c", std::string(kProgram)};
  child.environment = mlx_environment(options, folder->path());
  child.working_directory = folder->path();
  child.guard = options.guard;
  auto spawned = process::Child::spawn(std::move(child));
  if (!spawned) {
    found.why_not = spawned.error().message;
    return found;
  }
  const bool ended = (*spawned)->wait_for(time_max);
  const auto lines = (*spawned)->last_log_lines(50);
  for (const std::string_view line : lines) {
    if (!line.starts_with(kPlainMark)) continue;
    const std::size_t bar = line.rfind('|');
    found.version = line.substr(kPlainMark.size(), bar - kPlainMark.size());
    found.device = line.substr(bar + 1);
  }
  found.available = ended && !found.version.empty();
  if (found.available) return found;
  if (!ended) {
    found.why_not =
        fmt::format("{} did not say within {} ms whether it has mlx-lm", *python,
                    std::chrono::duration_cast<std::chrono::milliseconds>(time_max).count());
  } else {
    const auto said = std::ranges::find_if(lines.rbegin(), lines.rend(),
                                           [](const auto& line) { return !line.empty(); });
    found.why_not =
        said == lines.rend()
            ? fmt::format("{} says nothing: {}", *python,
                          (*spawned)->exit_status().value_or(process::ExitStatus{}).words())
            : fmt::format("{} says: {}", *python, said->substr(0, 300));
  }
  return found;
}

}  // namespace minerva::backend
