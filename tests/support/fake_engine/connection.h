// One blocking HTTP/1.1 connection, as little as a fake needs. It believes its client; never use it
// against anything but our own tests. One thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace minerva::fake_engine {

struct HttpRequest {
  std::string method;
  std::string path;
  std::string key;  // of a bearer token
  std::string body;
};

class Connection {
 public:
  explicit Connection(int socket) : socket_(socket) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The next request, or nothing when the client has gone.
  std::optional<HttpRequest> read();

  // False when the client has gone.
  bool send(std::string_view bytes);
  bool reply(int status, std::string_view body, std::string_view type = "application/json");
  bool begin_stream();  // head of a chunked event stream
  bool chunk(std::string_view bytes);
  bool end_stream() { return send("0\r\n\r\n"); }
  bool event(std::string_view data) { return chunk("data: " + std::string(data) + "\n\n"); }

  // The client has closed its side. Waits for nothing.
  bool client_gone() const;

 private:
  const int socket_;
  std::string buffered_;
};

}  // namespace minerva::fake_engine
