// The chat in the terminal: lines in, answers out, until the person leaves.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/chat_client.h"
#include "cli/signal_pipe.h"
#include "wire/json_guard.h"

namespace minerva::cli {

struct ChatLoopOptions {
  std::string history_file;
  std::string system;
  wire::Json fields = wire::Json::object();  // of every request: temperature and so on
  bool raw = false;                          // control characters are printed as they come
};

// `signals` has SIGINT, and its flag is what the client's calls end at.
Result<void> chat_loop(const ChatClient& client, SignalPipe& signals, ChatLoopOptions options);

// One answer to standard output, with a newline at its end. The answer so far is in `answer` also
// when it fails.
Result<void> print_answer(const ChatClient& client, const wire::Json& messages,
                          const wire::Json& fields, bool raw, ChatAnswer& answer);

wire::Json chat_message(std::string_view role, std::string_view text);

}  // namespace minerva::cli
