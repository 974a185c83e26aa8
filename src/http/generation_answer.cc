#include "http/generation_answer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "api/dialect.h"
#include "api/openai/embeddings.h"
#include "api/openai/parse.h"
#include "base/log.h"
#include "base/result.h"
#include "http/error_reply.h"
#include "http/pool_job.h"

namespace minerva::http {
namespace asio = boost::asio;

namespace {

struct Started {
  std::unique_ptr<api::AnswerEncoder> encoder;
  std::vector<std::string> ignored;
  std::unique_ptr<serve::Generation> generation;
};

// serve counts what it is asked for; what does not get so far is counted here.
void count_rejected(Metrics& metrics) { metrics.add(Metric::RequestsTotal, 1, "rejected"); }

Result<Started> start_embedding(serve::Service& service, Metrics& metrics, const std::string& body,
                                const api::CallContext& context) {
  auto call = api::openai::parse_embeddings(body, context);
  if (!call) {
    count_rejected(metrics);
    return fail(std::move(call).error());
  }
  MINERVA_ASSIGN(auto generation, service.embed(std::move(call->request)));
  return Started{std::move(call->encoder), std::move(call->ignored), std::move(generation)};
}

Result<Started> start(serve::Service& service, Metrics& metrics, Endpoint endpoint,
                      const std::string& body, const api::CallContext& context) {
  if (endpoint == Endpoint::Embeddings) return start_embedding(service, metrics, body, context);
  auto call = endpoint == Endpoint::ChatCompletions
                  ? api::openai::parse_chat_completion(body, context)
                  : api::openai::parse_completion(body, context);
  if (!call) {
    count_rejected(metrics);
    return fail(std::move(call).error());
  }
  MINERVA_ASSIGN(auto generation, service.start(std::move(call->request)));
  call->encoder->planned(generation->backend());
  return Started{std::move(call->encoder), std::move(call->ignored), std::move(generation)};
}

// Counts one client's running generations; none when it has too many.
class StreamSlot {
 public:
  StreamSlot(ServerState& server, const std::string& client) : server_(server), client_(client) {
    std::size_t& count = server_.streams[client_];
    held_ = count < server_.options.limits.streams_per_client_max;
    if (held_) ++count;
  }
  ~StreamSlot() {
    const auto found = server_.streams.find(client_);
    if (held_) --found->second;
    if (found->second == 0) server_.streams.erase(found);
  }
  StreamSlot(const StreamSlot&) = delete;
  StreamSlot& operator=(const StreamSlot&) = delete;
  bool held() const { return held_; }

 private:
  ServerState& server_;
  const std::string client_;
  bool held_ = false;
};

Error shutting_down() {
  return {ErrorCode::Unavailable, "the server is shutting down; the answer was cut short"};
}

class GenerationAnswer {
 public:
  GenerationAnswer(Exchange& exchange, Started started)
      : exchange_(exchange),
        connection_(exchange.connection),
        options_(exchange.server.options),
        started_(std::move(started)),
        commit_at_(WaitClock::now() + options_.commit_after) {
    started_.generation->on_ready([waker = connection_.waker()] { waker->signal(); });
  }

  asio::awaitable<bool> run() {
    while (true) {
      gather();
      if (ended_ || streaming()) {
        const std::optional<Error> failure = ended_ ? encoder().failure() : std::nullopt;
        const bool late = committed_ || (streaming() && has_token_);
        if (failure && !late) co_return co_await exchange_.send(error_reply(*failure));
        if (!streaming()) co_return co_await send_whole();
        const bool keep = co_await send_pending();
        if (!keep || ended_) co_return keep;
      }
      if (!more_) co_await connection_.sleep_until(next_look());
      if (connection_.aborted() || connection_.peer_gone()) co_return drop("the client went away");
      if (WaitClock::now() >= exchange_.server.drain_deadline) co_return co_await cut_short();
    }
  }

 private:
  api::AnswerEncoder& encoder() { return *started_.encoder; }
  bool streaming() { return encoder().streaming(); }

  // Takes what is ready, so that it goes out in one write; never waits for more.
  void gather() {
    more_ = true;
    while (!ended_ && pending_.size() < options_.limits.write_bytes_max) {
      const std::optional<serve::Delta> delta = started_.generation->try_next();
      if (!delta) {
        more_ = false;
        return;
      }
      // Before the head is out, news of progress replace each other: nobody waits for old ones.
      const bool progress = std::holds_alternative<backend::ProgressEvent>(*delta) ||
                            std::holds_alternative<serve::WaitDelta>(*delta);
      if (!progress) settled_ = true;
      if (!committed_ && !settled_) pending_.clear();
      pending_ += encoder().on_delta(*delta);
      ended_ = std::holds_alternative<serve::EndDelta>(*delta);
      if (std::holds_alternative<serve::TextDelta>(*delta)) has_token_ = true;
    }
  }

  WaitPoint next_look() {
    WaitPoint next = WaitClock::now() + kLongestWait;
    if (streaming()) {
      next = std::min(next, committed_ ? last_write_ + options_.keep_alive_every : commit_at_);
    }
    return std::min(next, exchange_.server.drain_deadline);
  }

  Reply reply_head() {
    Reply reply;
    reply.content_type = encoder().content_type();
    reply.fields.push_back({"x-minerva-backend", std::string(started_.generation->backend())});
    reply.fields.push_back({"x-minerva-route", std::string(started_.generation->route())});
    if (!started_.ignored.empty()) {
      reply.fields.push_back(
          {"x-minerva-ignored", fmt::format("{}", fmt::join(started_.ignored, ", "))});
    }
    return reply;
  }

  asio::awaitable<bool> send_whole() {
    Reply reply = reply_head();
    reply.body = encoder().finish();
    co_return co_await exchange_.send(std::move(reply));
  }

  asio::awaitable<bool> send_pending() {
    const WaitPoint now = WaitClock::now();
    std::string bytes;
    if (!committed_) {
      if (!has_token_ && !ended_ && now < commit_at_) co_return true;
      committed_ = true;
      bytes = render_stream_head(reply_head(), exchange_.context);
      if (pending_.empty()) pending_ = encoder().keep_alive();
    } else if (pending_.empty() && !ended_ && now >= last_write_ + options_.keep_alive_every) {
      pending_ = encoder().keep_alive();
    }
    if (ended_) pending_ += encoder().finish();
    append_framed(bytes, std::exchange(pending_, {}), ended_);
    if (bytes.empty()) co_return true;

    const IoResult result = co_await connection_.write(bytes);
    last_write_ = WaitClock::now();
    if (result == IoResult::TimedOut) co_return drop("the client stopped reading");
    if (result == IoResult::Closed) co_return drop("the client went away");
    co_return !ended_ || exchange_.context.keep_alive;
  }

  void append_framed(std::string& out, std::string_view bytes, bool last) {
    if (exchange_.context.minor == 0) {
      out += bytes;
      return;
    }
    append_chunk(out, bytes);
    if (last) out += kLastChunk;
  }

  bool drop(std::string_view why) {
    log_info("{} cancelled: {}", exchange_.context.request_id, why);
    started_.generation->cancel();
    return false;
  }

  asio::awaitable<bool> cut_short() {
    drop("the server is shutting down");
    exchange_.context.keep_alive = false;
    if (!committed_) co_return co_await exchange_.send(error_reply(shutting_down()));
    std::string bytes;
    append_framed(bytes, encoder().on_error(shutting_down()), true);
    co_await connection_.write(bytes);
    co_return false;
  }

  Exchange& exchange_;
  Connection& connection_;
  const ServerOptions& options_;
  Started started_;
  const WaitPoint commit_at_;

  std::string pending_;   // made and not written
  bool more_ = true;      // the generation may have more right now
  bool settled_ = false;  // something else than progress has come
  bool has_token_ = false;
  bool ended_ = false;
  bool committed_ = false;  // the head of a 200 is out
  WaitPoint last_write_{};
};

}  // namespace

asio::awaitable<bool> answer_generation(Exchange& exchange, Endpoint endpoint, std::string body) {
  ServerState& server = exchange.server;
  Connection& connection = exchange.connection;
  const Limits& limits = server.options.limits;
  const StreamSlot slot(server, connection.peer_address());
  if (!slot.held()) {
    count_rejected(server.metrics);
    const Error error{ErrorCode::QueueFull,
                      fmt::format("{} answers are being made for this client; that is the limit",
                                  limits.streams_per_client_max)};
    co_return co_await exchange.send(error_reply(error));
  }
  if (server.starts_waiting.load() >= limits.starts_waiting_max) {
    count_rejected(server.metrics);
    const Error error{ErrorCode::QueueFull,
                      fmt::format("{} requests wait to be started; that is the limit",
                                  limits.starts_waiting_max)};
    co_return co_await exchange.send(error_reply(error));
  }
  const PeerWatch watch(connection);

  api::CallContext context;
  context.request_id = exchange.context.request_id;
  context.client_id = connection.peer_address();
  context.unix_time = exchange.context.unix_time;
  context.strict = server.options.strict;
  context.system_fingerprint = server.options.system_fingerprint;
  const auto job = run_on_pool(
      server.pool, exchange,
      [endpoint, body = std::move(body), context = std::move(context), &service = server.service,
       &metrics = server.metrics, slot = WaitSlot(server.starts_waiting)] {
        return start(service, metrics, endpoint, body, context);
      });
  while (!job->done.load(std::memory_order_acquire)) {
    const WaitPoint longest = WaitClock::now() + kLongestWait;
    co_await connection.sleep_until(std::min(longest, server.drain_deadline));
    // The pool's thread finds the generation unwanted and cancels it by destroying it.
    if (connection.aborted() || connection.peer_gone()) co_return false;
    if (WaitClock::now() >= server.drain_deadline) {
      exchange.context.keep_alive = false;
      co_return co_await exchange.send(error_reply(shutting_down()));
    }
  }
  if (!job->value) {
    const Error error{ErrorCode::Internal, "the request could not be started"};
    co_return co_await exchange.send(error_reply(error));
  }
  Result<Started> started = std::move(*job->value);
  if (!started) co_return co_await exchange.send(error_reply(started.error()));
  GenerationAnswer answer(exchange, std::move(*started));
  co_return co_await answer.run();
}

}  // namespace minerva::http
