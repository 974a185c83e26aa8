// What the connections of one server share. Private to the room. Everything belongs to the I/O
// thread, except the pool, the atomics and what is const.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "http/access.h"
#include "http/connection.h"
#include "http/prometheus_metrics.h"
#include "http/reply.h"
#include "http/server.h"

namespace minerva::http {

struct ServerState {
  ServerState(ServerOptions options_in, serve::Service& service_in, PrometheusMetrics& metrics_in,
              const Clock& clock_in);

  std::string next_request_id();
  std::int64_t unix_time() const;

  const ServerOptions options;
  serve::Service& service;
  PrometheusMetrics& metrics;
  const Clock& clock;
  AccessRules access;

  std::unordered_map<std::string, std::size_t> streams;  // running generations of each client
  bool draining = false;
  WaitPoint drain_deadline = WaitPoint::max();
  std::atomic<std::size_t> starts_waiting{0};
  std::atomic<std::size_t> loads_waiting{0};
  std::atomic<bool> stopping{false};  // nobody waits for a load any more

  boost::asio::thread_pool pool;
  // For what must not wait behind prompts: lists of models, metrics.
  boost::asio::thread_pool quick_pool{1};
  // For what waits until a model is loaded or unloaded. Its threads start with their first work.
  boost::asio::thread_pool load_pool;
  // The last member, so that coroutines which it still holds die before what they refer to.
  boost::asio::io_context io{1};

 private:
  std::uint64_t id_seed_;
  std::uint64_t id_counter_ = 0;
};

// One request on its way to an answer.
struct Exchange {
  ServerState& server;
  Connection& connection;
  ReplyContext context;
  bool from_here = false;  // the machine's own user asks

  // Writes it; false when the connection is of no more use.
  boost::asio::awaitable<bool> send(Reply reply);
};

// No wait is longer; whoever waits looks again then.
inline constexpr std::chrono::minutes kLongestWait{5};

}  // namespace minerva::http
