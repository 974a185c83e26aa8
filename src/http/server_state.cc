#include "http/server_state.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/rng.h"
#include "wire/http_grammar.h"

namespace minerva::http {

ServerState::ServerState(ServerOptions options_in, serve::Service& service_in,
                         PrometheusMetrics& metrics_in, const Clock& clock_in)
    : options(std::move(options_in)),
      service(service_in),
      metrics(metrics_in),
      clock(clock_in),
      pool(options.pool_threads),
      load_pool(options.limits.loads_waiting_max),
      id_seed_(options.id_seed ? *options.id_seed : random_seed()) {
  for (const std::string& host : options.allowed_hosts)
    access.hosts.push_back(wire::to_lower(host));
  access.origins = options.allowed_origins;
}

// 96 bits of which no other server's are likely the same.
std::string ServerState::next_request_id() {
  const std::uint64_t n = id_counter_++;
  const auto words = philox4x32(
      {static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(n >> 32), 0, 0},
      {static_cast<std::uint32_t>(id_seed_), static_cast<std::uint32_t>(id_seed_ >> 32)});
  return fmt::format("{:08x}{:08x}{:08x}", words[0], words[1], words[2]);
}

std::int64_t ServerState::unix_time() const {
  if (options.unix_time) return options.unix_time();
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

boost::asio::awaitable<bool> Exchange::send(Reply reply) {
  const std::string bytes = render(reply, context);
  const IoResult result = co_await connection.write(bytes);
  co_return result == IoResult::Ok&& context.keep_alive;
}

}  // namespace minerva::http
