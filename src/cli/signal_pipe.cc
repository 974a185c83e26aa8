#include "cli/signal_pipe.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "base/check.h"

namespace minerva::cli {
namespace {

// A handler gets nothing but a number, so what it touches must stand here.
std::atomic<int> handler_fd{-1};
std::atomic<bool> handler_arrived{false};

void on_signal(int) {
  const int saved = errno;
  handler_arrived.store(true, std::memory_order_relaxed);
  const char byte = 0;
  // A full pipe holds news enough.
  [[maybe_unused]] const ssize_t written = ::write(handler_fd.load(), &byte, 1);
  errno = saved;
}

}  // namespace

Result<std::unique_ptr<SignalPipe>> SignalPipe::open(std::initializer_list<int> signals) {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK) != 0)
    return fail(ErrorCode::Io, "cannot make a pipe for signals");
  int none = -1;
  MINERVA_CHECK(handler_fd.compare_exchange_strong(none, fds[1]));
  handler_arrived = false;
  std::unique_ptr<SignalPipe> made(new SignalPipe(fds[0], fds[1]));
  for (const int number : signals) {
    struct sigaction action{};
    action.sa_handler = on_signal;
    ::sigemptyset(&action.sa_mask);
    Before before{number, {}};
    if (::sigaction(number, &action, &before.action) != 0)
      return fail(ErrorCode::Io, "cannot install a signal handler");
    made->before_.push_back(before);
  }
  return made;
}

SignalPipe::~SignalPipe() {
  for (const Before& before : before_) ::sigaction(before.number, &before.action, nullptr);
  handler_fd = -1;
  ::close(read_fd_);
  ::close(write_fd_);
}

bool SignalPipe::wait_for(Duration wait) {
  pollfd entry{read_fd_, POLLIN, 0};
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count();
  // A signal interrupts the poll, and is then in the pipe.
  ::poll(&entry, 1, static_cast<int>(ms));
  char byte = 0;
  return ::read(read_fd_, &byte, 1) == 1;
}

const std::atomic<bool>& SignalPipe::arrived() const { return handler_arrived; }

void SignalPipe::clear() {
  std::array<char, 64> bytes{};
  while (::read(read_fd_, bytes.data(), bytes.size()) > 0) {
  }
  handler_arrived = false;
}

void ignore_broken_pipes() { ::signal(SIGPIPE, SIG_IGN); }

}  // namespace minerva::cli
