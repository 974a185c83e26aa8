// A conversation in OpenAI's JSON, for engines that only speak chat. Written from typed values:
// what a client sent besides them is not in it. Pure functions.
#pragma once

#include <string>

#include "chat/message.h"

namespace minerva::chat {

// The "messages" array. Invalid UTF-8 becomes U+FFFD.
std::string openai_messages(const Conversation& conversation);
// The "tools" array; empty when there are none.
std::string openai_tools(const Conversation& conversation);

}  // namespace minerva::chat
