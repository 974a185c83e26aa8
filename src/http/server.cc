#include "http/server.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <utility>

#include "base/log.h"
#include "http/error_reply.h"
#include "http/port_owner.h"
#include "http/server_state.h"
#include "http/session.h"
#include "wire/http_grammar.h"

namespace minerva::http {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kAcceptRetry = std::chrono::milliseconds(100);
// After the grace: time for the last error events to be written.
constexpr auto kDrainSlack = std::chrono::seconds(2);
constexpr auto kStopTimeMax = std::chrono::seconds(10);

void log_root_exception(std::string_view where, const std::exception_ptr& thrown) {
  if (!thrown) return;
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    log_error("{} ended by an exception: {}", where, error.what());
  } catch (...) {
    log_error("{} ended by an unknown exception", where);
  }
}

Result<tcp::endpoint> endpoint_of(const ServerOptions& options) {
  const std::string host = options.host == "localhost" ? "127.0.0.1" : options.host;
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("cannot listen on \"{}\": it is not an IP address", options.host),
                "host");
  }
  return tcp::endpoint(address, options.port);
}

Result<void> open_acceptor(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) return {};
  const std::string host = endpoint.address().to_string();
  if (error == asio::error::address_in_use) {
    return fail(ErrorCode::Unavailable,
                fmt::format("port {} on {} is taken by {}; stop it, or choose another port with "
                            "--port",
                            endpoint.port(), host, port_owner(host, endpoint.port())),
                "port");
  }
  return fail(
      ErrorCode::Io,
      fmt::format("cannot listen on {} port {}: {}", host, endpoint.port(), error.message()),
      "port");
}

}  // namespace

class Server::Impl {
 public:
  Impl(ServerOptions options, serve::Service& service, PrometheusMetrics& metrics,
       const Clock& clock)
      : state_(std::move(options), service, metrics, clock), acceptor_(state_.io) {}

  ~Impl() {
    stop();
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait_for(lock, kStopTimeMax, [this] { return connections_ == 0; }))
        log_error("{} connections did not end in time", connections_);
    }
    state_.io.stop();
    if (thread_.joinable()) thread_.join();
    state_.stopping = true;
    state_.pool.join();
    state_.quick_pool.join();
    state_.load_pool.join();
    acceptor_close();
  }

  Result<void> open() {
    for (const std::string& origin : state_.options.allowed_origins) {
      if (!wire::is_field_text(origin))
        return fail(ErrorCode::InvalidArgument, "an allowed origin holds control characters");
    }
    MINERVA_ASSIGN(const tcp::endpoint endpoint, endpoint_of(state_.options));
    MINERVA_TRY(open_acceptor(acceptor_, endpoint));
    error_code error;
    endpoint_ = acceptor_.local_endpoint(error);
    if (error) return fail(ErrorCode::Io, "cannot read the listening socket's address");
    state_.access.port = endpoint_.port();
    // An address that was chosen to listen on is a name of ours; "any address" is none.
    if (!endpoint.address().is_unspecified()) state_.access.hosts.push_back(host());
    asio::co_spawn(state_.io, accept_loop(), [](std::exception_ptr thrown) {
      log_root_exception("the accept loop", thrown);
    });
    thread_ = std::thread([this] { run(); });
    return {};
  }

  unsigned port() const { return endpoint_.port(); }
  std::string host() const {
    const std::string text = endpoint_.address().to_string();
    return endpoint_.address().is_v6() ? "[" + text + "]" : text;
  }

  std::size_t connections() const {
    const std::lock_guard lock(mutex_);
    return connections_;
  }

  void stop_accepting() { set_drain_deadline(std::nullopt); }

  void drain(Duration grace) {
    set_drain_deadline(WaitClock::now() + grace);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, grace + kDrainSlack, [this] { return stopping_ || connections_ == 0; });
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    asio::post(state_.io, [this] {
      begin_drain();
      for (Session* session : sessions_) session->abort();
    });
  }

 private:
  void run() {
    // A handler that throws is our mistake; the other connections go on.
    while (true) {
      try {
        state_.io.run();
        return;
      } catch (const std::exception& error) {
        log_error("the I/O thread caught: {}", error.what());
      }
    }
  }

  void set_drain_deadline(std::optional<WaitPoint> deadline) {
    asio::post(state_.io, [this, deadline] {
      if (deadline) state_.drain_deadline = *deadline;
      begin_drain();
    });
  }

  void begin_drain() {
    state_.draining = true;
    acceptor_close();
    for (Session* session : sessions_) session->drain();
  }

  void acceptor_close() {
    error_code ignored;
    acceptor_.close(ignored);
  }

  asio::awaitable<void> accept_loop() {
    asio::steady_timer pause(state_.io);
    while (acceptor_.is_open()) {
      tcp::socket socket(state_.io);
      const auto [error] =
          co_await acceptor_.async_accept(socket, asio::as_tuple(asio::use_awaitable));
      if (!acceptor_.is_open()) break;
      if (error) {
        // Mostly "too many open files": it passes when others close theirs.
        log_warning("cannot accept a connection: {}", error.message());
        pause.expires_after(kAcceptRetry);
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
        continue;
      }
      if (sessions_.size() >= state_.options.limits.connections_max) {
        turn_away(socket);
      } else {
        begin_session(std::move(socket));
      }
    }
  }

  // Too many connections: as much of an answer as fits without waiting.
  void turn_away(tcp::socket& socket) {
    const Error error{ErrorCode::Unavailable,
                      fmt::format("{} connections are open; that is the limit",
                                  state_.options.limits.connections_max)};
    ReplyContext context;
    context.request_id = state_.next_request_id();
    context.version = state_.options.version;
    context.unix_time = state_.unix_time();
    context.keep_alive = false;
    const std::string bytes = render(error_reply(error), context);
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(bytes), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
  }

  void begin_session(tcp::socket socket) {
    auto connection = std::make_shared<Connection>(std::move(socket), state_.options.limits);
    auto session = std::make_shared<Session>(state_, std::move(connection));
    sessions_.insert(session.get());
    count_connections();
    asio::co_spawn(state_.io, session->run(), [this, session](std::exception_ptr thrown) {
      log_root_exception("a connection", thrown);
      sessions_.erase(session.get());
      count_connections();
    });
  }

  void count_connections() {
    {
      const std::lock_guard lock(mutex_);
      connections_ = sessions_.size();
    }
    changed_.notify_all();
  }

  ServerState state_;
  tcp::acceptor acceptor_;
  tcp::endpoint endpoint_;
  std::unordered_set<Session*> sessions_;  // I/O thread; each is owned by its coroutine
  std::thread thread_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t connections_ = 0;
  bool stopping_ = false;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(ServerOptions options, serve::Service& service,
                                               PrometheusMetrics& metrics, const Clock& clock) {
  auto impl = std::make_unique<Impl>(std::move(options), service, metrics, clock);
  MINERVA_TRY(impl->open());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

unsigned Server::port() const { return impl_->port(); }
std::string Server::address() const {
  return fmt::format("http://{}:{}", impl_->host(), impl_->port());
}
std::size_t Server::connections() const { return impl_->connections(); }
void Server::stop_accepting() { impl_->stop_accepting(); }
void Server::drain(Duration grace) { impl_->drain(grace); }
void Server::stop() { impl_->stop(); }

}  // namespace minerva::http
