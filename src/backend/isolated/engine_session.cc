#include "backend/isolated/engine_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <iterator>
#include <utility>

#include "backend/isolated/event_json.h"
#include "backend/isolated/request_json.h"
#include "wire/sse.h"

namespace minerva::backend {
namespace {

constexpr std::size_t kHeadBytesMax = std::size_t{16} * 1024;
constexpr std::size_t kFieldsMax = 32;
// What waits for the socket before the stream is read on: a reader that is slow then fills the
// stream, which pauses its sequence.
constexpr std::size_t kUnsentMax = std::size_t{64} * 1024;

unsigned status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::QueueFull:
      return 429;
    case ErrorCode::Unavailable:
      return 503;
    case ErrorCode::Internal:
    case ErrorCode::OutOfMemory:
    case ErrorCode::Io:
      return 500;
    default:
      return 400;
  }
}

void append_chunk(std::string& out, std::string_view bytes) {
  fmt::format_to(std::back_inserter(out), "{:x}\r\n{}\r\n", bytes.size(), bytes);
}

}  // namespace

EngineSession::EngineSession(boost::asio::io_context& io, Socket socket, const SessionHost& host)
    : io_(io), socket_(std::move(socket)), host_(host) {
  head_.emplace(kHeadBytesMax, kFieldsMax);
}

EngineSession::~EngineSession() { close(); }

// Always pending, also while an answer is written: that is how a client that leaves is noticed.
void EngineSession::read() {
  socket_.async_read_some(boost::asio::buffer(bytes_),
                          [self = shared_from_this()](const auto& error, std::size_t count) {
                            if (error) {
                              self->close();
                            } else {
                              self->on_bytes(std::string_view(self->bytes_.data(), count));
                            }
                          });
}

void EngineSession::on_bytes(std::string_view bytes) {
  while (!bytes.empty() && !closing_) {
    if (!take(bytes)) closing_ = true;
  }
  flush();
  if (!closed_) read();
}

bool EngineSession::take(std::string_view& bytes) {
  // One request at a time: nobody who is ours sends more, and so nothing is ever queued here.
  if (stream_ != nullptr) return false;
  if (!body_decoder_) {
    bytes.remove_prefix(head_->feed(bytes));
    if (head_->state() == wire::ParseState::Refused) {
      answer(head_->refusal().status,
             error_json({ErrorCode::InvalidArgument, head_->refusal().message}));
      return false;
    }
    if (head_->state() == wire::ParseState::NeedMore) return true;
    if (head_->head().chunked || head_->head().content_length > host_.body_bytes_max) {
      answer(413, error_json({ErrorCode::TooLarge, "a body needs a length within the limit"}));
      return false;
    }
    body_decoder_ = wire::BodyDecoder::sized(head_->head().content_length, host_.body_bytes_max);
  }
  bytes.remove_prefix(body_decoder_->feed(bytes, body_));
  if (body_decoder_->state() == wire::ParseState::NeedMore && head_->head().content_length > 0) {
    return true;
  }
  dispatch();
  head_.emplace(kHeadBytesMax, kFieldsMax);
  body_decoder_.reset();
  body_.clear();
  return true;
}

void EngineSession::dispatch() {
  const wire::RequestHead& head = head_->head();
  if (head.method == "GET" && head.path == "/health") {
    const auto [status, body] = host_.health();
    answer(status, body);
  } else if (head.method == "POST" && head.path == "/generate") {
    generate();
  } else if (head.method == "POST" && head.path == "/embed") {
    embed();
  } else {
    answer(404, error_json({ErrorCode::NotFound, "there is no such route"}));
  }
}

std::shared_ptr<GenerationStream> EngineSession::open_stream() {
  auto stream = std::make_shared<GenerationStream>();
  stream->on_wake_reader([&io = io_, weak = weak_from_this()] {
    boost::asio::post(io, [weak] {
      if (const auto self = weak.lock()) self->pump();
    });
  });
  return stream;
}

// All vectors are one answer, so nothing is sent before the last one.
void EngineSession::embed() {
  auto request = parse_embed_json(body_);
  if (!request) return refuse(request.error());
  const std::size_t inputs = request->inputs.size();
  const auto stream = open_stream();
  const auto accepted = host_.backend.embed(std::move(*request), stream);
  if (!accepted) return refuse(accepted.error());
  stream_ = stream;
  gathered_.emplace(inputs);
  pump();
}

void EngineSession::gather() {
  while (auto event = stream_->try_pop()) {
    if (const auto* vector = std::get_if<EmbeddingEvent>(&*event)) gathered_->take(*vector);
    const auto* end = std::get_if<EndEvent>(&*event);
    if (end == nullptr) continue;
    const auto body = gathered_->finish(*end);
    stream_.reset();
    gathered_.reset();
    if (body) {
      answer(200, *body);
    } else {
      refuse(body.error());
    }
    return;
  }
}

void EngineSession::generate() {
  auto request = parse_request_json(body_);
  if (!request) return refuse(request.error());
  const auto stream = open_stream();
  const auto accepted = host_.backend.generate(std::move(*request), stream);
  if (!accepted) return refuse(accepted.error());
  stream_ = stream;
  out_.append(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  pump();
}

void EngineSession::pump() {
  if (gathered_) {
    gather();
    flush();
    return;
  }
  std::string json;
  std::string block;
  while (stream_ != nullptr && out_.size() + block.size() < kUnsentMax) {
    auto event = stream_->try_pop();
    if (!event) break;
    json.clear();
    append_event_json(json, *event);
    wire::sse_data(block, json);
    if (std::holds_alternative<EndEvent>(*event)) stream_.reset();
  }
  if (!block.empty()) append_chunk(out_, block);
  if (!block.empty() && stream_ == nullptr) out_.append("0\r\n\r\n");
  flush();
}

void EngineSession::refuse(const Error& error) {
  answer(status_of(error.code), fmt::format(R"({{"error":{}}})", error_json(error)));
}

void EngineSession::answer(unsigned status, std::string_view body) {
  fmt::format_to(std::back_inserter(out_),
                 "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                 status, status < 400 ? "OK" : "Error", body.size(), body);
}

void EngineSession::flush() {
  if (closed_ || !writing_.empty()) return;
  if (out_.empty()) {
    if (closing_) close();
    return;
  }
  writing_.swap(out_);
  boost::asio::async_write(socket_, boost::asio::buffer(writing_),
                           [self = shared_from_this()](const auto& error, std::size_t) {
                             if (error) return self->close();
                             self->writing_.clear();
                             self->pump();
                           });
}

void EngineSession::close() {
  closed_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (stream_ != nullptr) stream_->cancel();
  stream_.reset();
}

}  // namespace minerva::backend
