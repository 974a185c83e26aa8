#include "backend/isolated/engine_server.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <mutex>
#include <optional>
#include <utility>

#include "backend/isolated/engine_session.h"
#include "backend/isolated/event_json.h"
#include "base/log.h"
#include "process/unix_socket.h"

namespace minerva::backend {

using boost::asio::local::stream_protocol;

namespace {
constexpr auto kAcceptRetry = std::chrono::milliseconds(100);
}  // namespace

struct EngineServer::State {
  State(EngineServerOptions settings, InferenceBackend& engine)
      : options(std::move(settings)),
        backend(engine),
        host{engine, options.body_bytes_max, [this] { return health(); }} {}

  void accept();
  void accept_later();
  std::pair<unsigned, std::string> health();

  const EngineServerOptions options;
  InferenceBackend& backend;
  const SessionHost host;
  boost::asio::io_context io{1};
  stream_protocol::acceptor acceptor{io};
  boost::asio::signal_set signals{io};
  boost::asio::steady_timer pause{io};
  std::atomic<std::size_t> sessions = 0;
  std::atomic<std::uint64_t> done = 0;
  std::atomic<std::uint64_t> total = 0;
  std::mutex mutex;
  std::optional<Error> failure;  // guarded by mutex
};

void EngineServer::State::accept() {
  acceptor.async_accept([this](const auto& error, stream_protocol::socket socket) {
    if (!acceptor.is_open()) return;
    if (error) {
      // Mostly "too many open files": it passes when others close theirs.
      log_warning("cannot accept a connection: {}", error.message());
      return accept_later();
    }
    if (const auto peer = process::check_same_user(socket.native_handle()); !peer) {
      log_warning("a connection was refused: {}", peer.error().message);
    } else if (sessions.load() >= options.connections_max) {
      log_warning("a connection was refused: {} are open already", sessions.load());
    } else {
      ++sessions;
      std::shared_ptr<EngineSession> session(new EngineSession(io, std::move(socket), host),
                                             [this](EngineSession* ended) {
                                               delete ended;
                                               --sessions;
                                             });
      session->start();
    }
    accept();
  });
}

void EngineServer::State::accept_later() {
  pause.expires_after(kAcceptRetry);
  pause.async_wait([this](const auto& error) {
    if (!error) accept();
  });
}

std::pair<unsigned, std::string> EngineServer::State::health() {
  const std::lock_guard lock(mutex);
  if (failure) return {500, fmt::format(R"({{"error":{}}})", error_json(*failure))};
  const Probe probe = backend.probe();
  const bool ready = probe.health == Health::Ready;
  const Capabilities can = backend.capabilities();
  if (probe.health == Health::Failed) {
    return {500, fmt::format(R"({{"error":{}}})",
                             error_json({ErrorCode::Unavailable, probe.detail, {}, "native"}))};
  }
  return {ready ? 200U : 503U,
          fmt::format(R"({{"health":"{}","context_size":{},"threads":{},"done":{},"total":{},)"
                      R"("generates":{},"embeds":{},"text_tokens_max":{}}})",
                      ready ? "ready" : "loading", backend.context_size(), backend.thread_count(),
                      done.load(), total.load(), can.generation != Support::No,
                      can.embeddings != Support::No, backend.text_tokens_max())};
}

EngineServer::EngineServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

EngineServer::~EngineServer() = default;

Result<std::unique_ptr<EngineServer>> EngineServer::listen(EngineServerOptions options,
                                                           InferenceBackend& backend) {
  MINERVA_ASSIGN(const int socket, process::listen_privately(options.socket));
  auto state = std::make_unique<State>(std::move(options), backend);
  boost::system::error_code error;
  state->acceptor.assign(stream_protocol(), socket, error);
  if (error) return fail(ErrorCode::Io, fmt::format("cannot listen: {}", error.message()));
  state->accept();
  return std::unique_ptr<EngineServer>(new EngineServer(std::move(state)));
}

void EngineServer::run() { state_->io.run(); }

void EngineServer::stop() { state_->io.stop(); }

void EngineServer::on_signals() {
  boost::system::error_code ignored;
  state_->signals.add(SIGTERM, ignored);
  state_->signals.add(SIGINT, ignored);
  state_->signals.async_wait([this](const auto& error, int) {
    if (!error) state_->io.stop();
  });
}

void EngineServer::report_progress(std::uint64_t done, std::uint64_t total) {
  state_->total = total;
  state_->done = done;
}

void EngineServer::report_failure(Error error) {
  const std::lock_guard lock(state_->mutex);
  state_->failure = std::move(error);
}

}  // namespace minerva::backend
