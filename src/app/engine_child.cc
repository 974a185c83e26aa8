#include "app/engine_child.h"

#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

#include "backend/isolated/engine_options.h"
#include "backend/isolated/engine_server.h"
#include "backend/native/native_backend.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/system.h"
#include "cli/compute.h"
#include "models/folder_model.h"
#include "models/vocabulary_cache.h"

namespace minerva::app {
namespace {

Result<void> serve_engine(const backend::EngineOptions& options) {
  cli::Settings settings;
  settings.threads = options.threads;
  settings.isa = options.isa;
  settings.numerics = options.numerics;
  MINERVA_ASSIGN(const cli::Compute compute, cli::make_compute(settings));
  const SteadyClock clock;
  NoMetrics metrics;  // the server counts what it relays
  backend::NativeOptions native;
  native.numerics = compute.numerics;
  native.context_default = options.context_default;
  native.kv_bytes_max = options.kv_bytes_max;
  native.waiting_max = options.waiting_max;
  native.open = [](const backend::ModelSpec& spec) { return models::open_model(spec.path); };
  native.vocabulary =
      [](const backend::ModelSpec& spec) -> Result<std::shared_ptr<const text::Tokenizer>> {
    MINERVA_ASSIGN(const auto vocabulary, models::load_vocabulary(spec.path));
    return vocabulary->tokenizer;
  };
  std::unique_ptr<backend::EngineServer> server;
  native.progress = [&server](std::uint64_t done, std::uint64_t total) {
    server->report_progress(done, total);
  };
  backend::NativeBackend engine(native, *compute.pool, *compute.kernels, clock, metrics);
  MINERVA_ASSIGN(server, backend::EngineServer::listen({.socket = options.socket}, engine));
  server->on_signals();
  std::atomic<bool> loading = true;
  std::thread loader([&] {
    backend::ModelSpec spec;
    spec.name = options.name;
    spec.path = options.model;
    if (const auto loaded = engine.load_model(spec, options.context); !loaded) {
      log_error("{}", loaded.error().message);
      server->report_failure(loaded.error());
    }
    loading = false;
  });
  server->run();
  // Loading cannot be interrupted, and leaves nothing behind.
  if (loading) std::_Exit(0);
  loader.join();
  engine.kill();
  return {};
}

}  // namespace

int run_engine_child(std::span<const std::string> arguments) {
  const auto options = backend::parse_engine_options(arguments);
  const auto done = options ? serve_engine(*options) : fail(options.error());
  if (done) return 0;
  std::fputs(fmt::format("minerva engine: {}\n", done.error().message).c_str(), stderr);
  return options ? 1 : 2;
}

}  // namespace minerva::app
