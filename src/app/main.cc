#include <unistd.h>

#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "app/engine_child.h"
#include "app/engine_server.h"
#include "base/system.h"
#include "cli/commands.h"
#include "process/guard.h"

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    // Neither is for people: they are how the server starts its own children.
    if (!arguments.empty() && arguments.front() == "guard") {
      return minerva::process::run_guard(std::span(arguments).subspan(1));
    }
    minerva::return_large_blocks_at_once();
    if (!arguments.empty() && arguments.front() == "engine") {
      return minerva::app::run_engine_child(std::span(arguments).subspan(1));
    }
    std::vector<std::string> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
    const auto start = [&](const minerva::cli::Configuration& configuration,
                           const std::string& version) {
      return minerva::app::start_engine_server(configuration, version, environment);
    };
    const auto find = [&](const minerva::cli::Configuration& configuration) {
      return minerva::app::find_engines(configuration, MINERVA_VERSION, environment);
    };
    return minerva::cli::run_command(arguments, environment, MINERVA_VERSION, {start, find});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "minerva: an error that nobody handled: %s\n", error.what());
  } catch (...) {
    std::fputs("minerva: an error that nobody handled\n", stderr);
  }
  return minerva::cli::kExitFailure;
}
