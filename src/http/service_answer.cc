#include "http/service_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

#include "api/engines.h"
#include "api/openai/models.h"
#include "api/openai/parse.h"
#include "http/error_reply.h"
#include "http/pool_job.h"

namespace minerva::http {
namespace asio = boost::asio;

namespace {

// How long one look at a load takes; in between it is seen whether anybody still waits.
constexpr auto kLoadLook = std::chrono::milliseconds(250);

api::Audience audience_of(const Exchange& exchange) {
  return exchange.from_here ? api::Audience::Owner : api::Audience::Client;
}

Reply look(ServerState& server, Endpoint endpoint, const std::string& argument,
           api::Audience audience) {
  switch (endpoint) {
    case Endpoint::Metrics: {
      Reply reply = text_reply(server.metrics.render());
      reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
      return reply;
    }
    case Endpoint::Models:
      return json_reply(api::openai::models_body(server.service.models()));
    case Endpoint::Backends:
      return json_reply(api::backends_body(server.service.backends(), audience));
    case Endpoint::Instances:
      return json_reply(api::instances_body(server.service.instances(), audience));
    default:
      break;
  }
  const auto model = server.service.model(argument);
  if (!model) return error_reply(model.error());
  return json_reply(api::openai::model_body(*model));
}

Reply route(serve::Service& service, const std::string& body, const api::CallContext& context) {
  auto request = api::openai::parse_route_question(body, context);
  if (!request) return error_reply(request.error());
  const auto report = service.explain_route(std::move(*request));
  if (!report) return error_reply(report.error());
  return json_reply(api::route_body(*report));
}

// What a load's thread looks at between two waits.
struct LoadWait {
  serve::Service& service;
  const Clock& clock;
  const std::atomic<bool>& stopping;
  const std::shared_ptr<const std::atomic<bool>> left;  // the client has gone
  TimePoint deadline;
};

Result<serve::InstanceInfo> wait_for_load(const LoadWait& wait, const api::LoadCall& call) {
  while (true) {
    const TimePoint begin = wait.clock.now();
    const Duration time = std::clamp<Duration>(wait.deadline - begin, Duration::zero(), kLoadLook);
    auto loaded = wait.service.load(call.model, call.backend, time);
    // A failure for lack of time that took less than the time it had is the load's own.
    const bool not_yet =
        !loaded && loaded.error().code == ErrorCode::Timeout && wait.clock.now() - begin >= time;
    if (!not_yet) return loaded;
    if (wait.stopping || *wait.left)
      return fail(ErrorCode::Unavailable, "the server is shutting down; the load goes on no more");
    if (wait.clock.now() >= wait.deadline) {
      return fail(ErrorCode::Timeout,
                  fmt::format("{} is still loading; GET /v1/ps says how far it is", call.model));
    }
  }
}

Reply load(const LoadWait& wait, Endpoint endpoint, const std::string& body,
           api::Audience audience) {
  if (endpoint == Endpoint::Load) {
    const auto call = api::parse_load(body);
    if (!call) return error_reply(call.error());
    const auto loaded = wait_for_load(wait, *call);
    if (!loaded) return error_reply(loaded.error());
    return json_reply(api::instance_body(*loaded, audience));
  }
  const auto call = api::parse_unload(body);
  if (!call) return error_reply(call.error());
  const auto unloaded = wait.service.unload(call->model, call->now);
  if (!unloaded) return error_reply(unloaded.error());
  return json_reply(R"({"status":"ok"})");
}

Reply too_many(std::string_view what, std::size_t limit) {
  return error_reply(
      {ErrorCode::QueueFull, fmt::format("{} {} wait already; that is the limit", limit, what)});
}

// Sleeps until the work is done, and answers with it.
template <class Job>
asio::awaitable<bool> answer_with(Exchange& exchange, std::shared_ptr<Job> job) {
  Connection& connection = exchange.connection;
  while (!job->done.load(std::memory_order_acquire)) {
    const WaitPoint drained = exchange.server.drain_deadline;
    co_await connection.sleep_until(std::min(WaitClock::now() + kLongestWait, drained));
    if (connection.aborted() || connection.peer_gone()) co_return false;
    if (WaitClock::now() >= drained) {
      exchange.context.keep_alive = false;
      const Error error{ErrorCode::Unavailable, "the server is shutting down"};
      co_return co_await exchange.send(error_reply(error));
    }
  }
  if (!job->value) {
    const Error error{ErrorCode::Internal, "the answer could not be made"};
    co_return co_await exchange.send(error_reply(error));
  }
  co_return co_await exchange.send(std::move(*job->value));
}

}  // namespace

asio::awaitable<bool> answer_look(Exchange& exchange, const Match& match) {
  auto job = run_on_pool(
      exchange.server.quick_pool, exchange,
      [&server = exchange.server, endpoint = match.route->endpoint, argument = match.argument,
       audience = audience_of(exchange)] { return look(server, endpoint, argument, audience); });
  co_return co_await answer_with(exchange, std::move(job));
}

asio::awaitable<bool> answer_route(Exchange& exchange, std::string body) {
  ServerState& server = exchange.server;
  const std::size_t limit = server.options.limits.starts_waiting_max;
  if (server.starts_waiting.load() >= limit)
    co_return co_await exchange.send(too_many("requests", limit));
  api::CallContext context;
  context.request_id = exchange.context.request_id;
  context.client_id = exchange.connection.peer_address();
  context.unix_time = exchange.context.unix_time;
  context.strict = server.options.strict;
  auto job = run_on_pool(
      server.pool, exchange,
      [&service = server.service, body = std::move(body), context = std::move(context),
       slot = WaitSlot(server.starts_waiting)] { return route(service, body, context); });
  co_return co_await answer_with(exchange, std::move(job));
}

asio::awaitable<bool> answer_load(Exchange& exchange, Endpoint endpoint, std::string body) {
  ServerState& server = exchange.server;
  const std::size_t limit = server.options.limits.loads_waiting_max;
  if (server.loads_waiting.load() >= limit)
    co_return co_await exchange.send(too_many("loads", limit));
  const PeerWatch watch(exchange.connection);
  const auto left = std::make_shared<std::atomic<bool>>(false);
  auto job = run_on_pool(
      server.load_pool, exchange,
      [wait = LoadWait{server.service, server.clock, server.stopping, left,
                       server.clock.now() + server.options.load_wait},
       endpoint, body = std::move(body), audience = audience_of(exchange),
       slot = WaitSlot(server.loads_waiting)] { return load(wait, endpoint, body, audience); });
  const bool keep = co_await answer_with(exchange, std::move(job));
  *left = true;
  co_return keep;
}

}  // namespace minerva::http
