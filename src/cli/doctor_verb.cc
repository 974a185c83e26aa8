#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/log.h"
#include "base/system.h"
#include "cli/compute.h"
#include "cli/engine_probes.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "http/client.h"
#include "http/port_owner.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

constexpr auto kProbeTime = std::chrono::seconds(10);

// "free", or who answers there.
std::string port_state(const Settings& settings) {
  http::ClientOptions options;
  options.host = reachable_host(settings.host);
  options.port = static_cast<unsigned>(settings.port);
  options.connect_timeout = std::chrono::milliseconds(250);
  options.read_timeout = std::chrono::milliseconds(250);
  options.body_bytes_max = 4096;
  const auto answer = http::Client(options).get("/");
  if (!answer && answer.error().code == ErrorCode::Unavailable) return "free";
  return http::port_owner(settings.host, options.port);
}

struct Findings {
  wire::Json facts;
  std::vector<std::string> problems;
};

void look_at_machine(const Context& context, Findings& findings) {
  const MemoryInfo memory = memory_info();
  wire::Json& facts = findings.facts;
  facts["version"] = context.version;
  facts["cpu"] = cpu_model_name();
  facts["cpus"] = available_cpus();
  facts["threads"] = thread_count(context.settings());
  facts["isas"] = possible_isas();
  const auto kernels = choose_kernels(context.settings().isa);
  facts["isa"] = kernels ? wire::Json((*kernels)->name) : wire::Json();
  if (!kernels) findings.problems.push_back(kernels.error().message);
  facts["numerics"] = context.settings().numerics;
  facts["memory_total_bytes"] = memory.total_bytes;
  facts["memory_available_bytes"] = memory.available_bytes;
}

void look_at_files(const Context& context, const DoctorOptions& options, Findings& findings) {
  wire::Json& facts = findings.facts;
  const std::string config = context.configuration.home.config_file();
  std::error_code ignored;
  facts["config_file"] = config;
  facts["config_file_exists"] = std::filesystem::exists(config, ignored);
  if (options.configuration_error)
    findings.problems.push_back(options.configuration_error->message);

  const std::string& folder = context.settings().models_dir;
  facts["models_dir"] = folder;
  facts["models_dir_exists"] = std::filesystem::is_directory(folder, ignored);
  wire::Json names = wire::Json::array();
  for (const models::ModelEntry& entry : open_store(context.settings())->list()) {
    if (entry.problem.empty()) {
      names.push_back(entry.name);
    } else if (entry.kind == models::ModelKind::Model && entry.source == "models folder") {
      // What is broken in other programs' folders is theirs to mend; `list` says it.
      findings.problems.push_back(fmt::format("model {}: {}", entry.name, entry.problem));
    }
  }
  if (names.empty()) {
    findings.problems.push_back(
        fmt::format("no usable model in {}: put a .gguf file there, or "
                    "name one by its path",
                    folder));
  }
  facts["models"] = std::move(names);
}

void look_at_port(const Context& context, Findings& findings) {
  const Settings& settings = context.settings();
  findings.facts["address"] = fmt::format("{}:{}", settings.host, settings.port);
  const std::string state = port_state(settings);
  findings.facts["port_state"] = state;
  if (state != "free" && !state.starts_with("another Minerva")) {
    findings.problems.push_back(fmt::format(
        "port {} is taken by {}: stop it, or choose another with --port", settings.port, state));
  }
}

// An engine that is not there is no problem by itself: nobody needs all of them.
Result<void> look_at_engines(const Context& context, Findings& findings) {
  wire::Json engines = wire::Json::array();
  if (context.engine_kinds) {
    MINERVA_ASSIGN(const auto kinds, context.engine_kinds(context.configuration));
    for (const ProbedEngine& engine : probe_engines(kinds, kProbeTime)) {
      engines.push_back({{"name", engine.name},
                         {"available", engine.found.available},
                         {"version", engine.found.version},
                         {"path", engine.found.path},
                         {"device", engine.found.device},
                         {"why_not", engine.found.why_not},
                         {"install", engine.found.install}});
    }
  }
  findings.facts["engines"] = std::move(engines);
  return {};
}

std::string engine_words(const wire::Json& engine) {
  const auto text = [&](const char* key) {
    return escape_controls(engine[key].get<std::string>());
  };
  std::string out = fmt::format("  engine     {}: ", text("name"));
  if (!engine["available"].get<bool>()) {
    out += text("why_not").empty() ? "not there" : text("why_not");
    if (!text("install").empty()) out += fmt::format(" (to install it: {})", text("install"));
    return out + "\n";
  }
  out += text("version").empty() ? "there" : text("version");
  for (const char* key : {"device", "path"})
    if (!text(key).empty()) out += ", " + text(key);
  return out + "\n";
}

std::string words(const Findings& findings) {
  const wire::Json& f = findings.facts;
  const auto text = [&](const char* key) { return escape_controls(f[key].get<std::string>()); };
  const auto list = [&](const char* key) {
    return escape_controls(
        fmt::format("{}", fmt::join(f[key].get<std::vector<std::string>>(), ", ")));
  };
  std::string out = fmt::format("minerva {}\n", text("version"));
  out += fmt::format("  processor  {}: {} usable, {} threads\n", text("cpu"),
                     f["cpus"].get<unsigned>(), f["threads"].get<unsigned>());
  out += fmt::format("  kernels    {} (possible: {}), numerics {}\n",
                     f["isa"].is_null() ? "none" : text("isa"), list("isas"), text("numerics"));
  out += fmt::format("  memory     {} free of {}\n",
                     size_text(f["memory_available_bytes"].get<std::uint64_t>()),
                     size_text(f["memory_total_bytes"].get<std::uint64_t>()));
  out += fmt::format("  config     {}{}\n", text("config_file"),
                     f["config_file_exists"].get<bool>() ? "" : " (none)");
  out += fmt::format("  models     {}{}: {}\n", text("models_dir"),
                     f["models_dir_exists"].get<bool>() ? "" : " (no such folder)",
                     f["models"].empty() ? "none" : list("models"));
  for (const wire::Json& engine : f["engines"]) out += engine_words(engine);
  out += fmt::format("  port       {}: {}\n", text("address"), text("port_state"));
  for (const std::string& problem : findings.problems)
    out += fmt::format("  problem    {}\n", escape_controls(problem));
  return out;
}

}  // namespace

Result<void> diagnose(const Context& context, const DoctorOptions& options) {
  Findings findings;
  look_at_machine(context, findings);
  look_at_files(context, options, findings);
  look_at_port(context, findings);
  if (auto looked = look_at_engines(context, findings); !looked) {
    findings.facts["engines"] = wire::Json::array();
    findings.problems.push_back(looked.error().message);
  }
  if (!options.json) return write_out(words(findings));
  findings.facts["problems"] = findings.problems;
  return write_out(wire::dump_json(findings.facts) + "\n");
}

}  // namespace minerva::cli
