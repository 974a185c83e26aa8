#include "http/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <utility>

#include "wire/http_response.h"

namespace minerva::http {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kSlice = std::chrono::milliseconds(50);
constexpr std::size_t kLineBytesMax = std::size_t{16} * 1024 * 1024;

// One connection. Every operation runs an event loop of its own in slices, so that the deadline and
// the cancel flag are looked at while it waits.
class Call {
 public:
  explicit Call(const ClientOptions& options) : options_(options), socket_(io_) {}

  Result<void> connect() {
    error_code error;
    const auto address =
        asio::ip::make_address(options_.host == "localhost" ? "127.0.0.1" : options_.host, error);
    if (error) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("\"{}\" is not an IP address", options_.host), "host");
    }
    const tcp::endpoint endpoint(address, static_cast<std::uint16_t>(options_.port));
    error_code result;
    bool done = false;
    socket_.async_connect(endpoint, [&](error_code failed) {
      result = failed;
      done = true;
    });
    MINERVA_TRY(wait(done, options_.connect_timeout, "connecting"));
    return check(result, "cannot connect");
  }

  Result<void> write(std::string_view bytes) {
    error_code result;
    bool done = false;
    asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()),
                      [&](error_code failed, std::size_t) {
                        result = failed;
                        done = true;
                      });
    MINERVA_TRY(wait(done, options_.read_timeout, "sending the request"));
    // A server that refuses a request early may close while we still send; its answer is there.
    if (result == asio::error::broken_pipe || result == asio::error::connection_reset) return {};
    return check(result, "cannot send");
  }

  // What has arrived; empty when the peer has closed.
  Result<std::string_view> read() {
    error_code result;
    std::size_t count = 0;
    bool done = false;
    socket_.async_read_some(asio::buffer(buffer_), [&](error_code failed, std::size_t read) {
      result = failed;
      count = read;
      done = true;
    });
    MINERVA_TRY(wait(done, options_.read_timeout, "waiting for the answer"));
    if (result == asio::error::eof) return std::string_view();
    MINERVA_TRY(check(result, "cannot read"));
    return std::string_view(buffer_.data(), count);
  }

 private:
  std::string peer() const { return fmt::format("{} port {}", options_.host, options_.port); }

  Result<void> check(const error_code& error, std::string_view what) const {
    if (!error) return {};
    return fail(error == asio::error::connection_refused ? ErrorCode::Unavailable : ErrorCode::Io,
                fmt::format("{} ({}): {}", what, peer(), error.message()));
  }

  Result<void> wait(const bool& done, Duration timeout, std::string_view what) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    io_.restart();
    std::optional<Error> failure;
    while (!done) {
      const auto now = std::chrono::steady_clock::now();
      if (options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed)) {
        failure = Error{ErrorCode::Cancelled, "interrupted"};
        break;
      }
      if (now >= deadline) {
        failure = Error{
            ErrorCode::Timeout,
            fmt::format("{} ({}) took longer than {} ms", what, peer(),
                        std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count())};
        break;
      }
      io_.run_for(std::min<Duration>(kSlice, deadline - now));
    }
    if (!failure) return {};
    // The operation's handler refers to the caller's variables: it must have run before we leave.
    error_code ignored;
    socket_.close(ignored);
    while (!done && io_.run_one() > 0) {
    }
    return fail(std::move(*failure));
  }

  const ClientOptions& options_;
  asio::io_context io_{1};
  tcp::socket socket_;
  std::array<char, std::size_t{16} * 1024> buffer_;
};

bool is_event_stream(const wire::ResponseHead& head) {
  return head.status == 200 &&
         head.find("content-type").value_or("").starts_with("text/event-stream");
}

}  // namespace

Result<Response> Client::get(std::string_view path) const { return call("GET", path, {}, {}); }

Result<Response> Client::post_json(std::string_view path, std::string_view body) const {
  return call("POST", path, body, {});
}

Result<Response> Client::post_json(std::string_view path, std::string_view body,
                                   const LineCallback& on_line) const {
  return call("POST", path, body, on_line);
}

Result<Response> Client::call(std::string_view method, std::string_view path, std::string_view body,
                              const LineCallback& on_line) const {
  Call call(options_);
  MINERVA_TRY(call.connect());
  const bool v6 = options_.host.find(':') != std::string::npos;
  std::string request =
      fmt::format("{} {} HTTP/1.1\r\nhost: {}{}{}:{}\r\nconnection: close\r\n", method, path,
                  v6 ? "[" : "", options_.host, v6 ? "]" : "", options_.port);
  if (method == "POST")
    request += fmt::format("content-type: application/json\r\ncontent-length: {}\r\n", body.size());
  request += "\r\n";
  request += body;
  MINERVA_TRY(call.write(request));

  wire::ResponseHeadParser parser;
  Response response;
  std::string_view bytes;
  while (parser.state() == wire::ParseState::NeedMore) {
    MINERVA_ASSIGN(bytes, call.read());
    if (bytes.empty()) return fail(ErrorCode::Io, "the server closed without an answer");
    bytes.remove_prefix(parser.feed(bytes));
  }
  if (parser.state() == wire::ParseState::Refused) return fail(ErrorCode::Io, parser.problem());

  response.head = parser.head();
  const bool lines = on_line && is_event_stream(response.head);
  // A stream's lines are dropped as they are handled, so its length needs no limit.
  wire::BodyDecoder decoder =
      parser.body(lines ? std::size_t{SIZE_MAX} : options_.body_bytes_max, false);
  wire::LineSplitter splitter(kLineBytesMax);
  while (true) {
    decoder.feed(bytes, response.body);
    if (lines) {
      const bool go_on = splitter.feed(response.body, on_line);
      response.body.clear();
      if (splitter.too_long()) return fail(ErrorCode::TooLarge, "a line of the answer is too long");
      if (!go_on) return response;
    }
    if (decoder.state() == wire::ParseState::Complete) return response;
    if (decoder.state() == wire::ParseState::Refused)
      return fail(ErrorCode::Io, "the answer is broken: " + decoder.refusal().message);
    MINERVA_ASSIGN(bytes, call.read());
    if (bytes.empty()) decoder.on_close();
  }
}

}  // namespace minerva::http
