// A server that says what a test wrote down: each connection is handled by a function, on a thread
// of its own, with blocking reads and writes. Plain, or with TLS.
#pragma once

#include <sys/socket.h>
#include <atomic>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace minerva::backend {

class TestConnection {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  TestConnection(Socket socket, boost::asio::ssl::context* tls)
      : stream_(tls == nullptr ? nullptr : std::make_unique<Tls>(std::move(socket), *tls)),
        plain_(tls == nullptr ? std::make_unique<Socket>(std::move(socket)) : nullptr) {
    boost::system::error_code failed;
    descriptor_ = stream_ ? stream_->next_layer().native_handle() : plain_->native_handle();
    if (stream_) stream_->handshake(boost::asio::ssl::stream_base::server, failed);
  }

  // The next request's head and body as sent; empty when the client has gone.
  std::string read_request() {
    while (true) {
      const std::size_t end = buffered_.find("\r\n\r\n");
      if (end != std::string::npos) {
        std::size_t length = 0;
        const std::string name = "Content-Length: ";
        const std::size_t at = buffered_.find(name);
        if (at < end) length = std::stoul(buffered_.substr(at + name.size()));
        if (buffered_.size() >= end + 4 + length) {
          std::string request = buffered_.substr(0, end + 4 + length);
          buffered_.erase(0, end + 4 + length);
          return request;
        }
      }
      char bytes[4096];
      boost::system::error_code failed;
      const auto into = boost::asio::buffer(bytes);
      const std::size_t count =
          stream_ ? stream_->read_some(into, failed) : plain_->read_some(into, failed);
      if (failed) return {};
      buffered_.append(bytes, count);
    }
  }
  bool send(const std::string& bytes) {
    boost::system::error_code failed;
    const auto all = boost::asio::buffer(bytes);
    stream_ ? boost::asio::write(*stream_, all, failed) : boost::asio::write(*plain_, all, failed);
    return !failed;
  }
  // So that the client sees a reset and no orderly end.
  void reset() {
    const std::lock_guard lock(mutex_);
    boost::system::error_code ignored;
    auto& socket = stream_ ? stream_->next_layer() : *plain_;
    socket.set_option(boost::asio::socket_base::linger(true, 0), ignored);
    socket.close(ignored);
    descriptor_ = -1;
  }
  // From any thread: whoever reads here sees the end.
  void close() {
    const std::lock_guard lock(mutex_);
    if (descriptor_ >= 0) ::shutdown(descriptor_, SHUT_RDWR);
  }

 private:
  using Tls = boost::asio::ssl::stream<Socket>;
  std::unique_ptr<Tls> stream_;
  std::unique_ptr<Socket> plain_;
  std::string buffered_;
  std::mutex mutex_;
  int descriptor_ = -1;  // under mutex_; -1 once it is closed
};

class TestServer {
 public:
  using Handler = std::function<void(TestConnection&, int number)>;

  explicit TestServer(Handler handler, boost::asio::ssl::context* tls = nullptr)
      : handler_(std::move(handler)), tls_(tls) {
    thread_ = std::thread([this] { accept(); });
  }
  ~TestServer() {
    stopping_ = true;
    // A connection to ourselves wakes accept().
    boost::asio::io_context io;
    boost::asio::ip::tcp::socket waker(io);
    boost::system::error_code ignored;
    waker.connect({boost::asio::ip::address_v4::loopback(), port()}, ignored);
    thread_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const auto& connection : connections_) connection->close();
    }
    for (std::thread& thread : threads_) thread.join();
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  int accepted() const { return accepted_; }

 private:
  void accept() {
    while (true) {
      boost::system::error_code failed;
      boost::asio::ip::tcp::socket socket = acceptor_.accept(failed);
      if (failed || stopping_) return;
      const int number = accepted_++;
      threads_.emplace_back([this, number, socket = std::move(socket)]() mutable {
        const auto connection = std::make_shared<TestConnection>(std::move(socket), tls_);
        {
          const std::lock_guard lock(mutex_);
          connections_.push_back(connection);
        }
        handler_(*connection, number);
        connection->close();
      });
    }
  }

  const Handler handler_;
  boost::asio::ssl::context* const tls_;
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_{io_, {boost::asio::ip::address_v4::loopback(), 0}};
  std::atomic<bool> stopping_ = false;
  std::atomic<int> accepted_ = 0;
  std::mutex mutex_;
  std::list<std::shared_ptr<TestConnection>> connections_;
  std::list<std::thread> threads_;  // of the accepting thread, then of the destructor
  std::thread thread_;
};

}  // namespace minerva::backend
