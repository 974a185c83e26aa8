// Answers that serve gives at once or after a wait, and that are no generation: lists, routes,
// loads. Private to the room. Each does its work on a pool while the connection's coroutine sleeps,
// writes the answer, and returns false when the connection is of no more use.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "http/routes.h"
#include "http/server_state.h"

namespace minerva::http {

// GET: models, engines, instances, metrics.
boost::asio::awaitable<bool> answer_look(Exchange& exchange, const Match& match);
boost::asio::awaitable<bool> answer_route(Exchange& exchange, std::string body);
// Load or unload. A client that goes away is no longer waited for; the load itself goes on.
boost::asio::awaitable<bool> answer_load(Exchange& exchange, Endpoint endpoint, std::string body);

}  // namespace minerva::http
