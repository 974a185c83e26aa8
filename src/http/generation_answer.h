// The answer to a prompt, or to texts that are to be embedded: starts the generation on the pool
// and writes what comes of it, streamed or at once. Private to the room.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "http/routes.h"
#include "http/server_state.h"

namespace minerva::http {

// False when the connection is of no more use. Reads nothing more from the generation while a write
// waits, so a slow reader fills its own stream and the engine pauses that sequence alone.
boost::asio::awaitable<bool> answer_generation(Exchange& exchange, Endpoint endpoint,
                                               std::string body);

}  // namespace minerva::http
