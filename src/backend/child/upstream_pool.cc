#include "backend/child/upstream_pool.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "backend/child/upstream_call.h"

namespace minerva::backend {

UpstreamPool::UpstreamPool(UpstreamOptions options, UpstreamLoop& loop,
                           std::shared_ptr<boost::asio::ssl::context> tls)
    : options_(std::move(options)), loop_(loop), tls_(std::move(tls)) {}

void UpstreamPool::add(const std::shared_ptr<PooledCall>& call) {
  calls_.insert(call);
  ++running_;
  if (waiting_.size() >= options_.waiting_max) {
    Error full{ErrorCode::QueueFull,
               fmt::format("{} calls wait for one of {} connections to {} already", waiting_.size(),
                           options_.connections_max, options_.name)};
    full.retry_after = std::chrono::seconds(1);
    return call->end_with(std::move(full));
  }
  call->begin();
}

void UpstreamPool::want(const std::shared_ptr<PooledCall>& call, bool may_reuse) {
  waiting_.push_back({call, may_reuse});
  serve_next();
}

void UpstreamPool::serve_next() {
  while (!waiting_.empty() && in_use_ < options_.connections_max) {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    std::shared_ptr<PooledConnection> connection = next.may_reuse ? take_free() : nullptr;
    if (connection == nullptr) {
      connection = std::make_shared<PooledConnection>();
      connection->transport = make_transport(io(), options_.address, tls_);
    }
    ++in_use_;
    next.call->run_on(std::move(connection));
  }
}

std::shared_ptr<PooledConnection> UpstreamPool::take_free() {
  while (!free_.empty()) {
    std::shared_ptr<PooledConnection> connection = std::move(free_.back());
    free_.pop_back();
    // Bytes that nobody asked for would be taken for the next answer; a closed socket says so too.
    if (connection->transport->quiet()) return connection;
    connection->transport->close();
  }
  return nullptr;
}

void UpstreamPool::give_back(std::shared_ptr<PooledConnection> connection, bool reusable) {
  --in_use_;
  if (reusable && options_.keep_alive_max > Duration::zero()) {
    connection->used = true;
    connection->unused_since = std::chrono::steady_clock::now();
    free_.push_back(std::move(connection));
    close_old();
  } else {
    connection->transport->close();
  }
  serve_next();
}

void UpstreamPool::close_old() {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(free_, [&](const std::shared_ptr<PooledConnection>& connection) {
    if (now - connection->unused_since < options_.keep_alive_max) return false;
    connection->transport->close();
    return true;
  });
  if (free_.empty() || sweeping_) return;
  sweeping_ = true;
  loop_.post_after(options_.keep_alive_max, [weak = weak_from_this()] {
    if (const auto pool = weak.lock()) {
      pool->sweeping_ = false;
      pool->close_old();
    }
  });
}

void UpstreamPool::ended(const std::shared_ptr<PooledCall>& call) {
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.call == call; });
  if (calls_.erase(call) > 0) --running_;
}

void UpstreamPool::fail_all(const Error& error) {
  for (const auto& connection : std::exchange(free_, {})) connection->transport->close();
  const auto calls = calls_;
  for (const auto& call : calls) call->end_with(error);
}

}  // namespace minerva::backend
