// A client of a TCP port or a Unix socket that sends exactly the bytes it is told to and hands over
// the bytes that come back. For tests of servers on this machine. Every wait ends after
// kSocketPatience at the latest.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace minerva::test {

inline constexpr std::chrono::seconds kSocketPatience{30};

class RawClient {
 public:
  // `receive_bytes` makes the socket's buffer small, for a reader that soon stops the writer.
  explicit RawClient(unsigned port, int receive_bytes = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_bytes > 0)
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  explicit RawClient(const std::string& socket_path) {
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path.copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() { close(); }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        connected_(other.connected_),
        closed_(other.closed_),
        bytes_(std::move(other.bytes_)) {}
  RawClient& operator=(RawClient&&) = delete;

  bool connected() const { return connected_; }
  // False when the peer no longer takes bytes.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      if (!wait(POLLOUT)) return false;
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (count < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  // Everything until the peer closes.
  std::string read_all() {
    while (read_some()) {
    }
    return std::exchange(bytes_, {});
  }
  // Reads until the bytes hold `text`; false when the peer closes first. They stay in bytes().
  bool read_until(std::string_view text) {
    while (bytes_.find(text) == std::string::npos) {
      if (!read_some()) return false;
    }
    return true;
  }
  // One read; false when the peer has closed or nothing comes.
  bool read_some() {
    if (closed_ || !wait(POLLIN)) return false;
    char buffer[65536];
    const ssize_t count = ::recv(fd_, buffer, sizeof buffer, 0);
    if (count <= 0) {
      closed_ = true;
      return false;
    }
    bytes_.append(buffer, static_cast<std::size_t>(count));
    return true;
  }
  std::string& bytes() { return bytes_; }
  bool closed_by_peer() const { return closed_; }

  void shutdown_send() { ::shutdown(fd_, SHUT_WR); }
  // Closes with a reset instead of a farewell.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  bool wait(short events) {
    pollfd entry{fd_, events, 0};
    const auto patience =
        std::chrono::duration_cast<std::chrono::milliseconds>(kSocketPatience).count();
    return ::poll(&entry, 1, static_cast<int>(patience)) > 0;
  }

  int fd_ = -1;
  bool connected_ = false;
  bool closed_ = false;
  std::string bytes_;
};

}  // namespace minerva::test
