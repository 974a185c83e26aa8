// One connection: requests one after the other, each read within limits, checked, routed and
// answered in order. Private to the room. Lives on the I/O thread; owned by its own coroutine.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "http/routes.h"
#include "http/server_state.h"
#include "wire/http_head.h"

namespace minerva::http {

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(ServerState& server, std::shared_ptr<Connection> connection);

  boost::asio::awaitable<void> run();
  // The server drains: an idle connection closes, a busy one looks at its deadline.
  void drain();
  void abort() { connection_->abort(); }

 private:
  // Nothing: the client left without a request.
  boost::asio::awaitable<bool> read_head(wire::HeadParser& parser);
  boost::asio::awaitable<bool> answer(wire::RequestHead& head, Exchange& exchange);
  boost::asio::awaitable<bool> read_body(const wire::RequestHead& head, bool prompts,
                                         Exchange& exchange, std::string& body);
  boost::asio::awaitable<bool> dispatch(const Match& match, Exchange& exchange, std::string body);

  ServerState& server_;
  const std::shared_ptr<Connection> connection_;
  bool first_ = true;
  bool idle_ = false;
  bool unread_ = false;  // a part of the last request was not read
};

}  // namespace minerva::http
