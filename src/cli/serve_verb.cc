#include <fmt/format.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/log.h"
#include "cli/signal_pipe.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace minerva::cli {
namespace {

constexpr auto kLook = std::chrono::milliseconds(50);

}  // namespace

Result<void> serve_models(const Context& context) {
  ignore_broken_pipes();
  const Settings& settings = context.settings();
  // Until the server stands, signals end the process as they always do.
  MINERVA_ASSIGN(const auto server, context.start_server(context.configuration, context.version));
  MINERVA_ASSIGN(const auto signals, SignalPipe::open({SIGINT, SIGTERM}));
  MINERVA_TRY(write_out(fmt::format("minerva {} listening on {}  ({})\n", context.version,
                                    server->address(), server->summary())));
  while (!signals->wait_for(std::chrono::hours(1))) {
  }
  log_info("stopping: running answers have {} s; a second signal stops at once",
           settings.drain_seconds);
  std::atomic<bool> drained = false;
  const std::jthread drain([&] {
    server->drain(std::chrono::seconds(settings.drain_seconds));
    drained = true;
  });
  while (!drained) {
    if (signals->wait_for(kLook)) server->stop();
  }
  return {};
}

}  // namespace minerva::cli
