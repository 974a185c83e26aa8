#include "http/connection.h"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <tuple>
#include <utility>

namespace minerva::http {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {
constexpr auto kResult = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = std::size_t{16} * 1024;
// A refused upload may be this large and this slow, and its sender still reads why.
constexpr std::size_t kLingerBytesMax = std::size_t{4} * 1024 * 1024;
constexpr auto kLingerTimeMax = std::chrono::seconds(2);
}  // namespace

Waker::Waker(Connection& target) : target_(&target) {}

void Waker::signal() {
  const std::lock_guard lock(mutex_);
  if (target_ == nullptr || queued_) return;
  queued_ = true;
  target_->post_to_loop([self = shared_from_this()] { self->deliver(); });
}

void Waker::deliver() {
  Connection* target = nullptr;
  {
    const std::lock_guard lock(mutex_);
    queued_ = false;
    target = target_;
  }
  // release() runs on this thread too, so the target cannot go away in between.
  if (target != nullptr) target->on_signal();
}

void Waker::release() {
  const std::lock_guard lock(mutex_);
  target_ = nullptr;
}

Connection::Connection(asio::ip::tcp::socket socket, const Limits& limits)
    : socket_(std::move(socket)),
      limits_(limits),
      deadline_(socket_.get_executor()),
      wake_(socket_.get_executor()),
      waker_(std::make_shared<Waker>(*this)) {
  error_code ignored;
  const auto peer = socket_.remote_endpoint(ignored);
  if (!ignored) peer_address_ = peer.address().to_string();
  // Tokens are small and wanted at once.
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.set_option(
      asio::socket_base::send_buffer_size(static_cast<int>(limits_.send_buffer_bytes)), ignored);
  socket_.non_blocking(true, ignored);
}

Connection::~Connection() { waker_->release(); }

std::shared_ptr<Waker> Connection::waker() { return waker_; }

void Connection::post_to_loop(std::function<void()> work) {
  asio::post(socket_.get_executor(), std::move(work));
}

void Connection::arm(WaitPoint deadline) {
  deadline_passed_ = false;
  const unsigned epoch = ++deadline_epoch_;
  deadline_.expires_at(deadline);
  deadline_.async_wait([self = shared_from_this(), epoch](error_code error) {
    if (error || epoch != self->deadline_epoch_) return;
    self->deadline_passed_ = true;
    error_code ignored;
    self->socket_.cancel(ignored);
  });
}

void Connection::disarm() {
  ++deadline_epoch_;
  deadline_.cancel();
}

asio::awaitable<IoResult> Connection::read_more(WaitPoint deadline) {
  if (aborted_) co_return IoResult::Closed;
  std::array<char, kReadBytes> bytes;
  arm(deadline);
  const auto [error, count] = co_await socket_.async_read_some(asio::buffer(bytes), kResult);
  const bool timed_out = deadline_passed_;
  disarm();
  input_.append(bytes.data(), count);
  if (error) co_return timed_out ? IoResult::TimedOut : IoResult::Closed;
  co_return IoResult::Ok;
}

asio::awaitable<IoResult> Connection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (aborted_ || peer_gone_) co_return IoResult::Closed;
    arm(WaitClock::now() + limits_.write_stall_max);
    const auto [error, count] =
        co_await socket_.async_write_some(asio::buffer(bytes.data(), bytes.size()), kResult);
    const bool timed_out = deadline_passed_;
    disarm();
    if (error) co_return timed_out ? IoResult::TimedOut : IoResult::Closed;
    bytes.remove_prefix(count);
  }
  co_return IoResult::Ok;
}

asio::awaitable<void> Connection::sleep_until(WaitPoint deadline) {
  if (!signalled_ && !peer_gone_ && !aborted_) {
    wake_.expires_at(deadline);
    // Whether it expired or was cancelled: the caller looks at everything anew.
    std::ignore = co_await wake_.async_wait(kResult);
  }
  signalled_ = false;
}

void Connection::on_signal() {
  signalled_ = true;
  wake_.cancel();
}

void Connection::watch_peer() {
  if (watching_ || aborted_) return;
  watching_ = true;
  const unsigned epoch = ++watch_epoch_;
  socket_.async_wait(asio::ip::tcp::socket::wait_read,
                     [self = shared_from_this(), epoch](error_code error) {
                       if (epoch != self->watch_epoch_) return;
                       self->watching_ = false;
                       if (!error) self->on_readable();
                     });
}

void Connection::stop_watching() {
  ++watch_epoch_;
  if (!watching_) return;
  watching_ = false;
  error_code ignored;
  socket_.cancel(ignored);
}

void Connection::on_readable() {
  std::array<char, 1024> bytes;
  error_code error;
  const std::size_t count = socket_.read_some(asio::buffer(bytes), error);
  input_.append(bytes.data(), count);
  if (error && error != asio::error::would_block && error != asio::error::try_again) {
    peer_gone_ = true;
    error_code ignored;
    socket_.cancel(ignored);  // a write that waits for this peer
    on_signal();
    return;
  }
  if (input_.size() < limits_.head_bytes_max) watch_peer();
}

asio::awaitable<void> Connection::close(bool unread) {
  error_code ignored;
  if (!aborted_ && !peer_gone_) {
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    const WaitPoint deadline = WaitClock::now() + kLingerTimeMax;
    std::size_t drained = 0;
    unread = unread || !input_.empty();
    while (unread && drained < kLingerBytesMax) {
      input_.clear();
      if (co_await read_more(deadline) != IoResult::Ok) break;
      drained += input_.size();
    }
  }
  socket_.close(ignored);
}

void Connection::abort() {
  aborted_ = true;
  error_code ignored;
  socket_.close(ignored);
  on_signal();
}

}  // namespace minerva::http
