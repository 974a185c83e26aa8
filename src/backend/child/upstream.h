// An HTTP/1.1 client of one server: an engine in a child of ours, or a remote one. The server is
// not trusted: every length it names is bounded, no redirect is followed, no compression taken, and
// a framing that two readers could understand differently ends the call.
//
// A call gets its events on the loop's thread and exactly one end. Requests are built here from
// typed parts, with a fixed set of header fields; nothing of a client's request passes through.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/child/upstream_loop.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/result.h"
#include "base/secret.h"
#include "wire/http_message.h"
#include "wire/sse.h"

namespace minerva::backend {

struct UpstreamAddress {
  std::string socket_path;         // a Unix socket; else host and port
  std::string host = "127.0.0.1";  // a name or an address
  std::uint16_t port = 0;
  bool tls = false;       // certificate and host name are checked
  std::string ca_file;    // with tls: whom to trust; empty: the system's authorities
  std::string base_path;  // put in front of every path: "/v1"; empty for a child
};

struct UpstreamOptions {
  std::string name;  // the engine's, in messages: "llama_cpp"
  UpstreamAddress address;
  Secret key;                        // sent as a bearer token
  std::size_t connections_max = 64;  // calls past it wait in turn
  std::size_t waiting_max = 1024;    // calls past that are refused with QueueFull
  Duration connect_max = std::chrono::seconds(5);
  Duration keep_alive_max = std::chrono::seconds(20);  // an unused connection is closed after it
  // A connection that breaks before the first byte of an answer is tried again: always once when
  // it had been used before, and so often when it was new (small listen queues reset bursts).
  unsigned fresh_retries = 0;
  std::size_t head_bytes_max = std::size_t{64} << 10;  // 1xx answers count too
  std::size_t body_bytes_max = std::size_t{8} << 20;   // of an answer that is no event stream
  std::size_t event_bytes_max = wire::SseParser::kEventBytesMax;
};

struct UpstreamRequest {
  std::string method = "POST";
  std::string path;           // "/completion"; must begin with "/"
  std::string body;           // JSON; empty: none
  Duration first_byte_max{};  // until the answer's head is complete; 0: no bound
  Duration idle_max{};        // between bytes of the answer; 0: no bound
  Duration total_max{};       // of the whole call, waiting for a connection included; 0: no bound
};

struct UpstreamEnd {
  // Set when the call failed as a call: no connection, a broken or hostile answer, a timeout,
  // Cancelled. An answer with an error status is none.
  std::optional<Error> error;
  unsigned status = 0;  // 0: no head arrived
  std::vector<wire::Field> fields;
  std::string body;        // of an answer that was no event stream, whole
  bool streamed = false;   // it was an event stream
  bool cut_short = false;  // it stopped inside an event
};

// What a call gives. On the loop's thread; must not block.
class UpstreamHandler {
 public:
  virtual ~UpstreamHandler() = default;
  virtual void on_event(const wire::SseEvent& event) = 0;
  // A comment line of the stream: a sign of life, and of some engines the prefill's progress.
  virtual void on_comment(std::string_view text) { static_cast<void>(text); }
  // Exactly once, and nothing after it.
  virtual void on_end(UpstreamEnd end) = 0;
};

// A call that runs. Any thread; the effect comes on the loop's thread. Letting go of it changes
// nothing.
class UpstreamCall {
 public:
  virtual ~UpstreamCall() = default;
  // Closes the connection, so that the engine notices; the end comes with Cancelled.
  virtual void cancel() = 0;
  // No event is given from now on (at once when called on the loop's thread), and nothing more is
  // read, which reaches the server as a full socket.
  virtual void pause() = 0;
  virtual void resume() = 0;
};

// Any thread. Its end ends the calls that run.
class Upstream {
 public:
  // Fails where the options make no sense (a path too long, a certificate file that is none).
  static Result<std::unique_ptr<Upstream>> make(UpstreamOptions options, UpstreamLoop& loop);
  virtual ~Upstream() = default;

  // Never waits; what goes wrong comes as the end.
  virtual std::shared_ptr<UpstreamCall> start(UpstreamRequest request,
                                              std::shared_ptr<UpstreamHandler> handler) = 0;
  // Waits for the answer; needs a total_max. An error status is a success here. Never on the
  // loop's thread.
  virtual Result<UpstreamEnd> exchange(UpstreamRequest request) = 0;
  // Ends all calls with this error and closes every connection: the server has gone. Later calls
  // connect anew.
  virtual void fail_all(Error error) = 0;
  virtual std::size_t running() const = 0;
};

}  // namespace minerva::backend
