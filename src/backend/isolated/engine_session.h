// One connection to an isolated engine. Private to the room. Lives on the server's I/O thread; kept
// alive by its pending operations.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "backend/backend.h"
#include "backend/isolated/embed_json.h"
#include "wire/http_body.h"
#include "wire/http_head.h"

namespace minerva::backend {

// What a session needs of its server; outlives it.
struct SessionHost {
  InferenceBackend& backend;
  std::size_t body_bytes_max;
  std::function<std::pair<unsigned, std::string>()> health;  // a status and its JSON
};

class EngineSession : public std::enable_shared_from_this<EngineSession> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;
  EngineSession(boost::asio::io_context& io, Socket socket, const SessionHost& host);
  ~EngineSession();

  void start() { read(); }

 private:
  void read();
  void on_bytes(std::string_view bytes);
  bool take(std::string_view& bytes);  // false: the connection is of no more use
  void dispatch();
  void generate();
  void embed();
  std::shared_ptr<GenerationStream> open_stream();
  void pump();
  void gather();  // what an embedding has made so far
  void answer(unsigned status, std::string_view body);
  void refuse(const Error& error);
  void flush();
  void close();

  boost::asio::io_context& io_;
  Socket socket_;
  const SessionHost& host_;
  std::array<char, std::size_t{16} * 1024> bytes_;
  std::optional<wire::HeadParser> head_;
  std::optional<wire::BodyDecoder> body_decoder_;
  std::string body_;
  std::shared_ptr<GenerationStream> stream_;  // while a generation runs
  std::optional<GatheredVectors> gathered_;   // while it is an embedding
  std::string out_;                           // to be written
  std::string writing_;                       // being written
  bool closing_ = false;                      // once what is to be written has been
  bool closed_ = false;
};

}  // namespace minerva::backend
