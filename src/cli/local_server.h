// A server inside this process, as `serve` and `run` see it. app builds it, because the wiring of
// all rooms is app's; the verbs talk to it over HTTP like everybody else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/engine_kind.h"
#include "base/clock.h"
#include "base/result.h"
#include "cli/configuration.h"

namespace minerva::cli {

// Owned by one thread, which may call stop() from another while drain() waits.
class LocalServer {
 public:
  virtual ~LocalServer() = default;
  virtual std::string address() const = 0;  // "http://127.0.0.1:11434"
  virtual unsigned port() const = 0;
  // "model smollm2-135m, context 8192, native/avx512, 2 threads"
  virtual std::string summary() const = 0;
  virtual std::vector<std::string> model_names() const = 0;
  // Refuses what is new and waits until the running answers have ended, `grace` at most.
  virtual void drain(Duration grace) = 0;
  virtual void stop() = 0;
};

// The configured models are loaded before the port opens, and failing to load one is the error.
using LocalServerFactory = std::function<Result<std::unique_ptr<LocalServer>>(
    const Configuration& configuration, const std::string& version)>;

// The engines that this machine may have and the configuration does not switch off, for the verbs
// that look at engines without a server. Making them looks at nothing yet: probe() does.
using EngineKindsFactory =
    std::function<Result<std::vector<std::shared_ptr<backend::EngineKind>>>(const Configuration&)>;

// What app gives to the command line.
struct Wiring {
  LocalServerFactory start_server;
  EngineKindsFactory engine_kinds;
};

}  // namespace minerva::cli
