#include "backend/child/upstream_call.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "wire/http_grammar.h"

namespace minerva::backend {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

// Of one event stream: more than two million tokens at llama-server's hundred bytes each.
constexpr std::size_t kStreamBytesMax = std::size_t{512} << 20;
constexpr Duration kRetryPause = std::chrono::milliseconds(20);

std::string request_text(const UpstreamRequest& request, const UpstreamOptions& options) {
  const UpstreamAddress& address = options.address;
  std::string host = "localhost";
  if (address.socket_path.empty()) {
    const bool ipv6 = address.host.find(':') != std::string::npos;
    const bool usual = address.port == (address.tls ? 443 : 80);
    host = ipv6 ? fmt::format("[{}]", address.host) : address.host;
    if (!usual) host += fmt::format(":{}", address.port);
  }
  std::string text = fmt::format(
      "{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: minerva\r\n"
      "Accept: text/event-stream, application/json\r\n",
      request.method, address.base_path, request.path, host);
  if (!options.key.empty()) {
    text.append("Authorization: Bearer ").append(options.key.reveal()).append("\r\n");
  }
  if (request.method == "POST") {
    text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n",
                        request.body.size());
  }
  text.append("\r\n").append(request.body);
  return text;
}

long long whole_ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

PooledCall::PooledCall(std::shared_ptr<UpstreamPool> pool, UpstreamRequest request,
                       std::shared_ptr<UpstreamHandler> handler)
    : pool_(std::move(pool)),
      request_(std::move(request)),
      handler_(std::move(handler)),
      sse_(pool_->options().event_bytes_max),
      timer_(pool_->io()) {}

// --- any thread ---

void PooledCall::cancel() {
  asio::post(pool_->io(), [self = shared_from_this()] {
    self->end_with({ErrorCode::Cancelled, "the call was cancelled"});
  });
}

void PooledCall::pause() {
  asio::dispatch(pool_->io(), [self = shared_from_this()] { self->paused_ = true; });
}

void PooledCall::resume() {
  asio::post(pool_->io(), [self = shared_from_this()] {
    if (!self->paused_) return;
    self->paused_ = false;
    self->last_bytes_ = Clock::now();
    self->go_on();
  });
}

// --- sending ---

void PooledCall::begin() {
  started_ = stage_started_ = Clock::now();
  arm();
  pool_->want(shared_from_this(), may_reuse_);
}

void PooledCall::run_on(std::shared_ptr<PooledConnection> connection) {
  connection_ = std::move(connection);
  stage_started_ = Clock::now();
  if (connection_->used) return send();
  stage_ = Stage::Connecting;
  arm();
  connection_->transport->connect(
      [self = shared_from_this(), connection = connection_](ErrorCodeOfOs error) {
        if (self->connection_ != connection) return;
        if (!error) return self->send();
        if (!self->retried(error)) self->finish(self->transport_error(error));
      });
}

void PooledCall::send() {
  stage_ = Stage::Sending;
  stage_started_ = Clock::now();
  arm();
  head_.emplace(pool_->options().head_bytes_max);
  head_and_body_ = request_text(request_, pool_->options());
  connection_->transport->write(
      asio::buffer(head_and_body_),
      [self = shared_from_this(), connection = connection_](ErrorCodeOfOs, std::size_t) {
        if (self->connection_ != connection) return;
        // Whoever refuses a request early may close while we still send; the answer is there, and
        // where there is none, reading says so.
        self->stage_ = Stage::Head;
        self->read();
      });
}

// --- reading ---

void PooledCall::read() {
  if (reading_) return;
  reading_ = true;
  connection_->transport->read_some(asio::buffer(connection_->buffer),
                                    [self = shared_from_this(), connection = connection_](
                                        ErrorCodeOfOs error, std::size_t count) {
                                      if (self->connection_ != connection) return;
                                      self->reading_ = false;
                                      self->on_read(error, count);
                                    });
}

void PooledCall::on_read(ErrorCodeOfOs error, std::size_t count) {
  if (error) {
    closed_ = error;
    return go_on();
  }
  any_bytes_ = true;
  last_bytes_ = Clock::now();
  std::string_view bytes(connection_->buffer.data(), count);
  if (stage_ == Stage::Head && !take_head(bytes)) return;
  if (stage_ == Stage::Body && !take_body(bytes)) return;
  go_on();
}

bool PooledCall::take_head(std::string_view& bytes) {
  bytes.remove_prefix(head_->feed(bytes));
  if (head_->state() == wire::ParseState::NeedMore) return true;
  if (head_->state() == wire::ParseState::Refused) {
    finish(broken(head_->problem()));
    return false;
  }
  const wire::ResponseHead& head = head_->head();
  end_.status = head.status;
  end_.fields = head.fields;
  const auto encoding = head.find("content-encoding");
  if (encoding && !wire::equals_ignoring_case(*encoding, "identity")) {
    finish(broken("it is compressed, though nobody asked for that"));
    return false;
  }
  const std::string type = wire::to_lower(head.find("content-type").value_or(""));
  end_.streamed = head.status == 200 && type.starts_with("text/event-stream");
  body_ = head_->body(end_.streamed ? kStreamBytesMax : pool_->options().body_bytes_max, false);
  stage_ = Stage::Body;
  arm();
  return true;
}

bool PooledCall::take_body(std::string_view& bytes) {
  decoded_.clear();
  bytes.remove_prefix(body_->feed(bytes, decoded_));
  surplus_ = !bytes.empty();
  if (!end_.streamed) {
    end_.body += decoded_;
  } else {
    parsed_.clear();
    const auto fed = sse_.feed(decoded_, parsed_);
    if (sse_.comments() != comments_) {
      comments_ = sse_.comments();
      handler_->on_comment(sse_.last_comment());
    }
    for (wire::SseEvent& event : parsed_) waiting_.push_back(std::move(event));
    if (!fed) problem_ = broken(fed.error().message);
  }
  if (body_->state() == wire::ParseState::Refused) problem_ = broken(body_->refusal().message);
  return true;
}

void PooledCall::go_on() {
  if (stage_ == Stage::Ended || delivering_) return;
  delivering_ = true;
  while (!paused_ && !waiting_.empty()) {
    const wire::SseEvent event = std::move(waiting_.front());
    waiting_.pop_front();
    handler_->on_event(event);
  }
  delivering_ = false;
  if (paused_ && !(waiting_.empty() && body_ && body_->state() == wire::ParseState::Complete))
    return;
  if (problem_) return finish(std::move(problem_));
  if (body_ && body_->state() == wire::ParseState::Complete) return complete();
  if (closed_) return on_closed(*closed_);
  arm();
  read();
}

void PooledCall::on_closed(ErrorCodeOfOs error) {
  if (!any_bytes_ && retried(error)) return;
  if (stage_ != Stage::Body) return finish(transport_error(error));
  end_.cut_short = !sse_.at_boundary();
  if (error == asio::error::eof) {
    body_->on_close();
    if (body_->state() == wire::ParseState::Complete) return complete();
    return finish(broken(body_->refusal().message));
  }
  finish(transport_error(error));
}

void PooledCall::complete() {
  const auto& head = head_->head();
  const bool framed = head.chunked || head.content_length.has_value();
  const bool stays = !wire::list_contains(head.find("connection").value_or(""), "close");
  end_.cut_short = end_.streamed && !sse_.at_boundary();
  const auto connection = std::exchange(connection_, nullptr);
  // What has come behind the answer belongs to no request.
  pool_->give_back(connection, framed && stays && !surplus_);
  finish({});
}

bool PooledCall::retried(ErrorCodeOfOs error) {
  const bool broke = error == asio::error::eof || error == asio::error::connection_reset ||
                     error == asio::error::broken_pipe;
  if (!broke || any_bytes_) return false;
  const bool was_used = connection_->used;
  if (was_used ? !may_reuse_ : fresh_retries_ >= pool_->options().fresh_retries) return false;
  pool_->give_back(std::exchange(connection_, nullptr), false);
  closed_.reset();
  reading_ = false;
  stage_ = Stage::Waiting;
  may_reuse_ = false;
  if (was_used) {
    pool_->want(shared_from_this(), false);
    return true;
  }
  const Duration pause = kRetryPause * (1U << std::min(fresh_retries_++, 6U));
  pool_->loop().post_after(pause, [self = shared_from_this()] {
    if (self->stage_ == Stage::Waiting) self->pool_->want(self, false);
  });
  return true;
}

// --- the end ---

Error PooledCall::broken(std::string_view what) const {
  return {ErrorCode::Unavailable,
          fmt::format("the answer of {} is broken: {}", pool_->options().name, what),
          {},
          pool_->options().name};
}

Error PooledCall::transport_error(ErrorCodeOfOs error) const {
  const std::string& name = pool_->options().name;
  std::string message;
  if (stage_ == Stage::Connecting) {
    message = fmt::format("cannot connect to {}: {}", name, error.message());
  } else if (stage_ == Stage::Body) {
    message = fmt::format("{} broke the connection off in the middle of its answer: {}", name,
                          error.message());
  } else {
    message = fmt::format("{} closed the connection before it answered: {}", name, error.message());
  }
  return {ErrorCode::Unavailable, std::move(message), {}, name};
}

void PooledCall::end_with(Error error) {
  if (stage_ == Stage::Ended) return;
  if (error.origin.empty() || error.origin == "minerva") error.origin = pool_->options().name;
  finish(std::move(error));
}

void PooledCall::finish(std::optional<Error> error) {
  if (stage_ == Stage::Ended) return;
  stage_ = Stage::Ended;
  timer_.cancel();
  const auto self = shared_from_this();
  pool_->ended(self);
  if (const auto connection = std::exchange(connection_, nullptr)) {
    pool_->give_back(connection, false);
  }
  waiting_.clear();
  end_.error = std::move(error);
  const auto handler = std::exchange(handler_, nullptr);
  handler->on_end(std::move(end_));
}

// --- bounds of time ---

std::optional<PooledCall::SteadyTime> PooledCall::due() const {
  std::optional<SteadyTime> at;
  const auto bound = [&](SteadyTime from, Duration wait) {
    if (wait > Duration::zero() && (!at || from + wait < *at)) at = from + wait;
  };
  bound(started_, request_.total_max);
  if (paused_) return at;
  if (stage_ == Stage::Connecting) bound(stage_started_, pool_->options().connect_max);
  if (stage_ == Stage::Sending || stage_ == Stage::Head)
    bound(stage_started_, request_.first_byte_max);
  if (stage_ == Stage::Body) bound(last_bytes_, request_.idle_max);
  return at;
}

void PooledCall::arm() {
  const auto at = due();
  // An earlier alarm stays: it looks again when it comes, so that bytes cost no timer.
  if (!at || (timer_at_ && *timer_at_ <= *at)) return;
  timer_at_ = at;
  timer_.expires_at(*at);
  timer_.async_wait([self = shared_from_this()](ErrorCodeOfOs failed) {
    if (!failed) self->on_timer();
  });
}

void PooledCall::on_timer() {
  timer_at_.reset();
  if (stage_ == Stage::Ended) return;
  const auto at = due();
  const auto now = Clock::now();
  if (!at || now < *at) return arm();
  const std::string& name = pool_->options().name;
  if (request_.total_max > Duration::zero() && now >= started_ + request_.total_max) {
    return finish(Error{ErrorCode::Timeout,
                        fmt::format("{} did not finish its answer within {} ms", name,
                                    whole_ms(request_.total_max)),
                        {},
                        name});
  }
  const bool connecting = stage_ == Stage::Connecting;
  const Duration wait = connecting              ? pool_->options().connect_max
                        : stage_ == Stage::Body ? request_.idle_max
                                                : request_.first_byte_max;
  finish(Error{
      ErrorCode::Unavailable,
      fmt::format("{} {} for {} ms", name,
                  connecting ? "accepted no connection" : "gave no sign of life", whole_ms(wait)),
      {},
      name});
}

}  // namespace minerva::backend
