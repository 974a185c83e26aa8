// One accepted socket and the waits on it, each with a deadline. Private to the room; pulls in
// Asio. Used on the server's I/O thread only, by one coroutine at a time; its Waker may be called
// from anywhere. Failures are values: no exception comes out of Asio.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/limits.h"

namespace minerva::http {

using WaitClock = std::chrono::steady_clock;
using WaitPoint = WaitClock::time_point;

enum class IoResult : std::uint8_t { Ok, Closed, TimedOut };

class Connection;

// How other threads tell a connection's coroutine to look again. Outlives the connection where it
// must: a call that comes late does nothing.
class Waker : public std::enable_shared_from_this<Waker> {
 public:
  explicit Waker(Connection& target);
  void signal();   // any thread; never blocks for long
  void release();  // I/O thread: the connection ends

 private:
  void deliver();
  std::mutex mutex_;
  Connection* target_;
  bool queued_ = false;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, const Limits& limits);
  ~Connection();

  const std::string& peer_address() const { return peer_address_; }
  // Bytes that have arrived and are not used yet.
  std::string& input() { return input_; }

  // Appends what arrives to input().
  boost::asio::awaitable<IoResult> read_more(WaitPoint deadline);
  // Writes all of it. TimedOut when the peer takes no byte for write_stall_max.
  boost::asio::awaitable<IoResult> write(std::string_view bytes);
  // Sleeps until the deadline, signal(), peer_gone() or abort().
  boost::asio::awaitable<void> sleep_until(WaitPoint deadline);

  // From here on a peer that closes, or only shuts its sending side, makes peer_gone() true and
  // wakes sleep_until(). What it sends meanwhile (a pipelined request) goes to input(), as far as
  // one head's limit; past that nothing more is read and only a failed write tells that it left.
  void watch_peer();
  void stop_watching();
  bool peer_gone() const { return peer_gone_; }

  std::shared_ptr<Waker> waker();
  void post_to_loop(std::function<void()> work);  // any thread
  void on_signal();

  // Says that no more comes. `unread`: the peer may still be sending, so it is listened to for a
  // moment; a close with bytes unread is a reset, which may throw our last answer away.
  boost::asio::awaitable<void> close(bool unread);
  // Ends every wait at once; from any state.
  void abort();
  bool aborted() const { return aborted_; }

 private:
  void arm(WaitPoint deadline);
  void disarm();
  void on_readable();

  boost::asio::ip::tcp::socket socket_;
  const Limits& limits_;
  std::string peer_address_;
  std::string input_;

  boost::asio::steady_timer deadline_;
  bool deadline_passed_ = false;
  unsigned deadline_epoch_ = 0;  // a timer's handler that comes too late is recognized by it

  boost::asio::steady_timer wake_;
  bool signalled_ = false;
  std::shared_ptr<Waker> waker_;

  unsigned watch_epoch_ = 0;
  bool watching_ = false;
  bool peer_gone_ = false;
  bool aborted_ = false;
};

}  // namespace minerva::http
