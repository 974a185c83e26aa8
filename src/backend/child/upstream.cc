#include "backend/child/upstream.h"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "backend/child/upstream_call.h"
#include "backend/child/upstream_pool.h"
#include "base/check.h"

namespace minerva::backend {
namespace {

constexpr std::size_t kSocketPathMax = 107;  // sockaddr_un, less its zero byte
// What exchange() waits past its own bound, which the loop enforces.
constexpr Duration kExchangeSlack = std::chrono::seconds(5);

bool plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
}

class HttpUpstream final : public Upstream {
 public:
  HttpUpstream(std::shared_ptr<UpstreamPool> pool, UpstreamLoop& loop)
      : pool_(std::move(pool)), loop_(loop) {}
  ~HttpUpstream() override {
    loop_.post([pool = pool_] {
      pool->fail_all({ErrorCode::Cancelled, "the connections to the engine were closed"});
    });
  }

  std::shared_ptr<UpstreamCall> start(UpstreamRequest request,
                                      std::shared_ptr<UpstreamHandler> handler) override {
    MINERVA_CHECK(request.path.starts_with('/') && plain(request.path));
    auto call = std::make_shared<PooledCall>(pool_, std::move(request), std::move(handler));
    loop_.post([pool = pool_, call] { pool->add(call); });
    return call;
  }

  Result<UpstreamEnd> exchange(UpstreamRequest request) override {
    MINERVA_CHECK(!loop_.on_loop_thread());
    MINERVA_CHECK(request.total_max > Duration::zero());
    struct Waiter final : UpstreamHandler {
      void on_event(const wire::SseEvent&) override {}
      void on_end(UpstreamEnd given) override {
        const std::lock_guard lock(mutex);
        end = std::move(given);
        ended.notify_all();
      }
      std::mutex mutex;
      std::condition_variable ended;
      std::optional<UpstreamEnd> end;
    };
    const auto waiter = std::make_shared<Waiter>();
    const Duration wait = request.total_max + kExchangeSlack;
    const auto call = start(std::move(request), waiter);
    std::unique_lock lock(waiter->mutex);
    if (!waiter->ended.wait_for(lock, wait, [&] { return waiter->end.has_value(); })) {
      call->cancel();
      return fail(ErrorCode::Internal, "the loop of the engines' connections stands still");
    }
    if (waiter->end->error) return fail(std::move(*waiter->end->error));
    return std::move(*waiter->end);
  }

  void fail_all(Error error) override {
    loop_.post([pool = pool_, error = std::move(error)] { pool->fail_all(error); });
  }
  std::size_t running() const override { return pool_->running(); }

 private:
  const std::shared_ptr<UpstreamPool> pool_;
  UpstreamLoop& loop_;
};

}  // namespace

Result<std::unique_ptr<Upstream>> Upstream::make(UpstreamOptions options, UpstreamLoop& loop) {
  const UpstreamAddress& address = options.address;
  if (address.socket_path.size() > kSocketPathMax) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("the path of a socket has {} bytes; the system takes {}",
                            address.socket_path.size(), kSocketPathMax),
                "socket");
  }
  if (address.socket_path.empty() && (address.host.empty() || address.port == 0)) {
    return fail(ErrorCode::InvalidArgument, "an engine's address needs a host and a port", "url");
  }
  // They are written into the head of each request.
  if (!plain(address.host) || !plain(address.base_path) || !plain(options.key.reveal())) {
    return fail(ErrorCode::InvalidArgument,
                "an engine's host, path or key holds blanks or control characters", "url");
  }
  options.connections_max = std::max<std::size_t>(options.connections_max, 1);
  std::shared_ptr<boost::asio::ssl::context> tls;
  if (address.tls) {
    MINERVA_ASSIGN(tls, make_tls_context(address));
  }
  auto pool = std::make_shared<UpstreamPool>(std::move(options), loop, std::move(tls));
  return std::make_unique<HttpUpstream>(std::move(pool), loop);
}

}  // namespace minerva::backend
