// A dialect turns a client's bytes into a typed request, and the answer's pieces into bytes. It
// touches no socket and knows no engine; http drives it. Each dialect is a folder beside this file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/types.h"

namespace minerva::api {

// Turns one answer's deltas into bytes. Used by one thread.
class AnswerEncoder {
 public:
  virtual ~AnswerEncoder() = default;
  // Which engine is to answer, before the first delta. The fingerprint in the answers is that of
  // our own engine; of any other nothing is claimed.
  virtual void planned(std::string_view backend) { static_cast<void>(backend); }
  virtual bool streaming() const = 0;
  virtual std::string_view content_type() const = 0;
  // Streaming: the bytes that say this delta, maybe none. Otherwise the delta is kept.
  virtual std::string on_delta(const serve::Delta& delta) = 0;
  // Streaming: the closing bytes ("data: [DONE]"). Otherwise the whole body.
  virtual std::string finish() = 0;
  // Streaming, after the headers have gone: the error as an event, and the end.
  virtual std::string on_error(const Error& error) = 0;
  // Streaming: bytes that a client ignores, sent while it waits.
  virtual std::string keep_alive() const = 0;
  // Set once an EndDelta said that the answer failed or was cancelled. Streaming: on_delta() has
  // already returned the error event, and finish() returns nothing. Otherwise: answer with it.
  virtual std::optional<Error> failure() const = 0;
};

// What a parser needs from outside.
struct CallContext {
  std::string request_id;  // "chatcmpl-…" is made from it
  std::string client_id;
  std::int64_t unix_time = 0;  // seconds; goes into "created"
  bool strict = false;         // unknown fields are refused
  bool images = false;         // some engine sees images; else a picture is a 400 that names it
  std::string system_fingerprint;
};

// A parsed request, ready for serve, with the encoder of its answer.
struct Call {
  serve::Request request;
  std::unique_ptr<AnswerEncoder> encoder;
  // Unknown fields, for x-minerva-ignored: at most 16 of at most 64 bytes, safe in a header.
  std::vector<std::string> ignored;
};

// An error as a dialect's client expects it. `body` is JSON.
struct ErrorAnswer {
  unsigned status = 500;
  std::string body;
  unsigned retry_after_seconds = 0;  // 0: nothing is said of it
};

}  // namespace minerva::api
