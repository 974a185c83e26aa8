// fake_engine: speaks what llama-server speaks (chat and text completions, its own /completion,
// health, models), with an
// answer that is a function of the whole prompt, and with every fault that a supervisor must live
// through, each ordered by a flag (options.h). Prints "listening on PORT" once it accepts.
#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <list>
#include <memory>
#include <thread>

#include "support/fake_engine/completion.h"

namespace minerva::fake_engine {
namespace {

bool route(State& state, Connection& connection, const HttpRequest& request) {
  if (request.path == "/fake/state") {
    return connection.reply(200, fmt::format("{{\"running\":{},\"requests\":{}}}",
                                             state.running.load(), state.requests.load()));
  }
  const bool chat = request.path == "/v1/chat/completions";
  const bool llama = request.path == "/completion";
  const bool known = request.path == "/health" || request.path == "/v1/models" ||
                     request.path == "/props" || chat || llama || request.path == "/v1/completions";
  if (!known) return connection.reply(404, error_body(404, "not_found_error", "File Not Found"));
  if (!state.ready) {
    return connection.reply(503, error_body(503, "unavailable_error", "Loading model"));
  }
  if (request.path == "/health") return connection.reply(200, "{\"status\":\"ok\"}");
  if (!state.options.key.empty() && request.key != state.options.key) {
    return connection.reply(401, error_body(401, "authentication_error", "Invalid API Key"));
  }
  if (request.path == "/props") {
    return connection.reply(200, fmt::format("{{\"default_generation_settings\":{{\"n_ctx\":{}}}}}",
                                             state.options.context_size));
  }
  if (request.path == "/v1/models") {
    return connection.reply(
        200,
        fmt::format("{{\"object\":\"list\",\"data\":[{{\"id\":\"{}\",\"object\":\"model\"}}]}}",
                    state.options.model));
  }
  const Dialect dialect = chat ? Dialect::Chat : llama ? Dialect::Llama : Dialect::Text;
  return answer_completion(state, connection, request.body, dialect);
}

int listen_on(unsigned port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(listener, generic, sizeof(address)) != 0 || ::listen(listener, 64) != 0) {
    std::perror("fake_engine: cannot listen");
    std::exit(1);
  }
  return listener;
}

int listen_at(const std::string& path) {
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(listener, generic, sizeof(address)) != 0 || ::listen(listener, 64) != 0) {
    std::perror("fake_engine: cannot listen");
    std::exit(1);
  }
  return listener;
}

unsigned port_of(int listener) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

// Lives on without its parent, in a session of its own, with stdout and stderr open: who waits for
// the pipes' end waits for it.
void leave_grandchild() {
  if (::fork() != 0) return;
  ::setsid();
  if (::fork() != 0) ::_exit(0);
  // So that a test that goes wrong leaves nothing for long.
  ::alarm(120);
  while (true) ::pause();
}

void serve(std::shared_ptr<State> state, int socket) {
  Connection connection(socket);
  while (const auto request = connection.read()) {
    if (!route(*state, connection, *request)) return;
  }
}

int run(Options options) {
  std::signal(SIGPIPE, SIG_IGN);
  if (options.ignore_sigterm) std::signal(SIGTERM, SIG_IGN);
  if (options.fail_load) {
    std::fprintf(stderr, "error: failed to load model: tensor 'token_embd.weight' is missing\n");
    return 1;
  }
  if (options.grandchild) leave_grandchild();

  const bool tcp = options.socket.empty();
  const int listener = tcp ? listen_on(options.port) : listen_at(options.socket);
  const auto state = std::make_shared<State>();
  state->options = std::move(options);
  if (tcp) {
    fmt::print("listening on {}\n", port_of(listener));
  } else {
    fmt::print("listening on {}\n", state->options.socket);
  }
  std::fflush(stdout);
  // Ends by a signal only, so its threads are never joined; they are kept to be somebody's.
  std::list<std::thread> threads;
  threads.emplace_back([state] {
    std::this_thread::sleep_for(state->options.slow_start);
    state->ready = !state->options.never_ready;
  });
  while (true) {
    const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket >= 0) threads.emplace_back(serve, state, socket);
  }
}

}  // namespace
}  // namespace minerva::fake_engine

int main(int argc, char** argv) {
  return minerva::fake_engine::run(minerva::fake_engine::parse_options(argc, argv));
}
