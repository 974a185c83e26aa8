// The HTTP server: listens, reads requests within limits, and drives serve and the dialects. It
// owns one I/O thread, on which every connection's coroutine runs, a small pool for what computes
// or waits (parsing, Service::start), and one thread for what must not queue behind those. listen()
// and the destructor belong to the owner; the other calls are thread-safe. Failures of clients are
// answered and logged, never thrown.
//
// A client that closes its connection, or shuts down its sending side, while its answer is being
// made has gone: the generation is cancelled.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/limits.h"
#include "serve/service.h"

namespace minerva::http {

class PrometheusMetrics;

struct ServerOptions {
  std::string host = "127.0.0.1";            // an address, or localhost
  std::uint16_t port = 11434;                // 0: any free one
  std::vector<std::string> allowed_hosts;    // names that Host may say, besides the loopback ones
  std::vector<std::string> allowed_origins;  // pages that may call us ("https://chat.example")
  Limits limits;
  bool strict = false;  // unknown fields of requests are refused

  Duration commit_after = std::chrono::seconds(2);       // then a stream's 200 goes out
  Duration keep_alive_every = std::chrono::seconds(10);  // comments while a stream is silent
  Duration load_wait = std::chrono::minutes(10);         // of calls that load a model
  unsigned pool_threads = 4;

  std::string version = "0.1.0";
  std::string system_fingerprint;                // "fp_…", into every answer
  std::function<std::int64_t()> unix_time = {};  // seconds; none: the system's
  std::optional<std::uint64_t> id_seed = {};     // of request ids; none: random
};

class Server {
 public:
  // Binds, and starts to serve at once. A port that is taken is an error that says by whom.
  static Result<std::unique_ptr<Server>> listen(ServerOptions options, serve::Service& service,
                                                PrometheusMetrics& metrics, const Clock& clock);
  // stop(), and joins every thread.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  unsigned port() const;
  std::string address() const;  // "http://127.0.0.1:11434"
  std::size_t connections() const;

  // No new connections, and no new requests on the old ones: each closes behind its answer.
  void stop_accepting();
  // stop_accepting(), then waits until every answer is finished. After `grace` those that still run
  // are cancelled and end with an error. stop() from another thread makes it return early.
  void drain(Duration grace);
  // Cuts every connection now.
  void stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace minerva::http
