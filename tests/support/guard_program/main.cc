// guard_program guard …: the guard, as `minerva guard` is.
// guard_program spawn MARK PROGRAM ARGUMENT…: a parent to be killed: starts the program through a
// guard with the environment MARK, prints the program's pid once it runs, and waits.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "process/child.h"
#include "process/guard.h"

namespace {

int spawn_and_wait(const std::vector<std::string>& arguments) {
  minerva::process::ChildOptions options;
  options.name = "child";
  options.environment = {arguments[1]};
  options.argv.assign(arguments.begin() + 2, arguments.end());
  options.guard = {"/proc/self/exe", "guard"};
  const auto child = minerva::process::Child::spawn(std::move(options));
  if (!child) {
    std::fprintf(stderr, "%s\n", child.error().message.c_str());
    return 1;
  }
  std::printf("%lld\n", static_cast<long long>((*child)->pid()));
  std::fflush(stdout);
  while (true) ::pause();
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (!arguments.empty() && arguments[0] == "guard") {
    return minerva::process::run_guard(std::span(arguments).subspan(1));
  }
  if (arguments.size() >= 3 && arguments[0] == "spawn") return spawn_and_wait(arguments);
  std::fputs("usage: guard_program guard … | spawn MARK PROGRAM ARGUMENT…\n", stderr);
  return 2;
}
