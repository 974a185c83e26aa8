#include "http/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "http/access.h"
#include "http/error_reply.h"
#include "http/generation_answer.h"
#include "http/service_answer.h"
#include "wire/http_body.h"

namespace minerva::http {
namespace asio = boost::asio;

namespace {

// OPTIONS, also what a browser asks before it lets an allowed page call us.
Reply options_reply(std::string_view allow, bool cross_origin) {
  Reply reply;
  reply.status = 204;
  reply.fields.push_back({"allow", std::string(allow)});
  if (cross_origin) {
    reply.fields.push_back({"access-control-allow-methods", std::string(allow)});
    reply.fields.push_back({"access-control-allow-headers", "authorization, content-type"});
    reply.fields.push_back({"access-control-max-age", "600"});
  }
  return reply;
}

}  // namespace

Session::Session(ServerState& server, std::shared_ptr<Connection> connection)
    : server_(server), connection_(std::move(connection)) {}

void Session::drain() {
  if (idle_) {
    connection_->abort();
  } else {
    connection_->on_signal();
  }
}

asio::awaitable<void> Session::run() {
  const auto keep_alive = shared_from_this();
  bool more = true;
  while (more) {
    wire::HeadParser parser(server_.options.limits.head_bytes_max,
                            server_.options.limits.head_fields_max);
    const bool have_head = co_await read_head(parser);
    first_ = false;
    if (!have_head) break;

    wire::RequestHead& head = parser.head();
    Exchange exchange{server_, *connection_, {}};
    exchange.context.request_id = server_.next_request_id();
    exchange.context.version = server_.options.version;
    exchange.context.unix_time = server_.unix_time();
    if (parser.state() == wire::ParseState::Refused) {
      exchange.context.keep_alive = false;
      unread_ = true;
      co_await exchange.send(refusal_reply(parser.refusal()));
      log_debug("{} refused a request of {}: {}", exchange.context.request_id,
                connection_->peer_address(), parser.refusal().message);
      break;
    }
    exchange.context.minor = head.minor;
    exchange.context.head_only = head.method == "HEAD";
    exchange.context.keep_alive = head.keep_alive && !server_.draining;
    const TimePoint begin = server_.clock.now();
    more = co_await answer(head, exchange);
    log_debug(
        "{} {} {} of {} took {} ms", exchange.context.request_id, head.method, head.path,
        connection_->peer_address(),
        std::chrono::duration_cast<std::chrono::milliseconds>(server_.clock.now() - begin).count());
    more = more && !server_.draining;
  }
  co_await connection_->close(unread_);
}

asio::awaitable<bool> Session::read_head(wire::HeadParser& parser) {
  const Limits& limits = server_.options.limits;
  std::string& input = connection_->input();
  // A connection is made in order to ask something at once; only afterwards may it idle.
  WaitPoint deadline = WaitClock::now() + (first_ ? limits.head_time_max : limits.idle_time_max);
  bool started = false;
  while (true) {
    input.erase(0, parser.feed(input));
    if (parser.state() != wire::ParseState::NeedMore) co_return true;
    if (parser.started() && !started) {
      started = true;
      if (!first_) deadline = WaitClock::now() + limits.head_time_max;
    }
    if (!started && server_.draining) co_return false;
    idle_ = !started;
    const IoResult result = co_await connection_->read_more(deadline);
    idle_ = false;
    if (result == IoResult::Closed) co_return false;
    if (result == IoResult::TimedOut) {
      if (started) parser.time_out();
      co_return started;
    }
  }
}

asio::awaitable<bool> Session::answer(wire::RequestHead& head, Exchange& exchange) {
  // Where the body is left unread, the next request's beginning is unknown: the connection closes.
  const bool keep_alive = exchange.context.keep_alive;
  exchange.context.keep_alive = keep_alive && !head.has_body();
  unread_ = head.has_body();

  if (const auto refusal = check_access(head, server_.access)) {
    log_warning("{} refused {} {} of {}: {}", exchange.context.request_id, head.method, head.path,
                connection_->peer_address(), refusal->message);
    co_return co_await exchange.send(refusal_reply(*refusal));
  }
  const auto origin = cross_origin(head, server_.access);
  if (origin) exchange.context.allowed_origin = *origin;
  exchange.from_here = asks_from_here(head, connection_->peer_address());

  const Match match = match_route(head.method, head.path);
  if (match.refusal) {
    Reply reply = refusal_reply(*match.refusal);
    if (match.refusal->status == 405) reply.fields.push_back({"allow", std::string(match.allow)});
    co_return co_await exchange.send(std::move(reply));
  }
  if (match.route == nullptr)
    co_return co_await exchange.send(options_reply(match.allow, origin.has_value()));
  if (const auto refusal = check_content(head))
    co_return co_await exchange.send(refusal_reply(*refusal));

  std::string body;
  if (head.has_body()) {
    const bool whole = co_await read_body(head, match.route->prompts, exchange, body);
    if (!whole) co_return false;
    unread_ = false;
  }
  exchange.context.keep_alive = keep_alive && !server_.draining;
  co_return co_await dispatch(match, exchange, std::move(body));
}

asio::awaitable<bool> Session::read_body(const wire::RequestHead& head, bool prompts,
                                         Exchange& exchange, std::string& body) {
  const Limits& limits = server_.options.limits;
  const std::size_t bytes_max = prompts ? limits.prompt_body_bytes_max : limits.body_bytes_max;
  wire::BodyDecoder decoder = head.chunked
                                  ? wire::BodyDecoder::chunked(bytes_max)
                                  : wire::BodyDecoder::sized(head.content_length, bytes_max);
  std::string& input = connection_->input();
  if (head.expects_continue && input.empty() && decoder.state() == wire::ParseState::NeedMore) {
    const IoResult result = co_await connection_->write("HTTP/1.1 100 Continue\r\n\r\n");
    if (result != IoResult::Ok) co_return false;
  }
  const WaitPoint begin = WaitClock::now();
  std::uint64_t received = 0;
  wire::Refusal refusal;
  while (true) {
    const std::size_t used = decoder.feed(input, body);
    received += used;
    input.erase(0, used);
    if (decoder.state() == wire::ParseState::Complete) co_return true;
    if (decoder.state() == wire::ParseState::Refused) {
      refusal = decoder.refusal();
      break;
    }
    // The moment at which the average falls under the limit, if nothing more comes until then.
    const auto slowest = std::chrono::seconds((received + 1) / limits.body_bytes_per_second_min);
    const IoResult result =
        co_await connection_->read_more(begin + std::max<Duration>(limits.body_grace, slowest));
    if (result == IoResult::Closed) co_return false;
    if (result == IoResult::TimedOut) {
      refusal = {408, fmt::format("the body came slower than {} bytes a second",
                                  limits.body_bytes_per_second_min)};
      break;
    }
  }
  co_await exchange.send(refusal_reply(refusal));
  co_return false;
}

asio::awaitable<bool> Session::dispatch(const Match& match, Exchange& exchange, std::string body) {
  switch (match.route->endpoint) {
    case Endpoint::Root:
      co_return co_await exchange.send(text_reply("Minerva is running\n"));
    case Endpoint::Health:
      co_return co_await exchange.send(json_reply(R"({"status":"ok"})"));
    case Endpoint::Ready: {
      const bool ready = !server_.draining && server_.service.ready();
      co_return co_await exchange.send(json_reply(
          ready ? R"({"status":"ready"})" : R"({"status":"not ready"})", ready ? 200 : 503));
    }
    case Endpoint::Version:
      co_return co_await exchange.send(json_reply(fmt::format(
          R"({{"name":"minerva","version":"{}"}})", safe_header_value(server_.options.version))));
    case Endpoint::Metrics:
    case Endpoint::Models:
    case Endpoint::Model:
    case Endpoint::Backends:
    case Endpoint::Instances:
      co_return co_await answer_look(exchange, match);
    case Endpoint::Route:
      co_return co_await answer_route(exchange, std::move(body));
    case Endpoint::Load:
    case Endpoint::Unload:
      co_return co_await answer_load(exchange, match.route->endpoint, std::move(body));
    case Endpoint::ChatCompletions:
    case Endpoint::Completions:
    case Endpoint::Embeddings:
      co_return co_await answer_generation(exchange, match.route->endpoint, std::move(body));
  }
  co_return false;
}

}  // namespace minerva::http
