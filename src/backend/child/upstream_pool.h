// The connections to one server, and who waits for one. Private to this room; on the loop's thread,
// but for the counter. Kept alive by its Upstream and by the calls that run.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "backend/child/transport.h"
#include "backend/child/upstream.h"
#include "backend/child/upstream_loop_impl.h"

namespace minerva::backend {

class PooledCall;

struct PooledConnection {
  std::shared_ptr<Transport> transport;
  bool used = false;  // it has carried a request before
  std::chrono::steady_clock::time_point unused_since;
  // Longer than most reads bring, so that a busy stream is read in few calls.
  std::array<char, std::size_t{32} * 1024> buffer;
};

class UpstreamPool : public std::enable_shared_from_this<UpstreamPool> {
 public:
  UpstreamPool(UpstreamOptions options, UpstreamLoop& loop,
               std::shared_ptr<boost::asio::ssl::context> tls);

  const UpstreamOptions& options() const { return options_; }
  boost::asio::io_context& io() { return loop_.impl().io; }
  UpstreamLoop& loop() { return loop_; }
  std::size_t running() const { return running_.load(); }

  void add(const std::shared_ptr<PooledCall>& call);
  // Another connection for the call, now or when one is free.
  void want(const std::shared_ptr<PooledCall>& call, bool may_reuse);
  void give_back(std::shared_ptr<PooledConnection> connection, bool reusable);
  void ended(const std::shared_ptr<PooledCall>& call);
  void fail_all(const Error& error);

 private:
  struct Waiting {
    std::shared_ptr<PooledCall> call;
    bool may_reuse = true;
  };
  std::shared_ptr<PooledConnection> take_free();
  void serve_next();
  void close_old();

  const UpstreamOptions options_;
  UpstreamLoop& loop_;
  const std::shared_ptr<boost::asio::ssl::context> tls_;
  std::set<std::shared_ptr<PooledCall>> calls_;
  std::deque<Waiting> waiting_;
  std::vector<std::shared_ptr<PooledConnection>> free_;
  std::size_t in_use_ = 0;
  bool sweeping_ = false;
  std::atomic<std::size_t> running_ = 0;
};

}  // namespace minerva::backend
