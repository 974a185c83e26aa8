// A conversation as every dialect means it. Built by api from what a client sent, read by the
// template renderer. JSON keeps the order of its keys, because templates print schemas as they
// came.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace minerva::chat {

using Json = nlohmann::ordered_json;

struct ContentPart {
  enum class Kind : std::uint8_t { Text, Image };
  Kind kind = Kind::Text;
  std::string text = {};        // Text
  std::string media_type = {};  // Image: "image/png"
  std::string data = {};        // Image: the decoded bytes
};

struct ToolCall {
  std::string id = {};
  std::string name = {};
  Json arguments = {};  // an object; a string where the client sent something that is not JSON
};

struct Message {
  std::string role = {};  // system, developer, user, assistant, tool
  // None is JSON null (an assistant turn of tool calls only).
  std::optional<std::vector<ContentPart>> content = {};
  // True when the client sent a list of parts rather than a string; templates can tell.
  bool content_is_parts = false;
  std::optional<std::string> reasoning = {};
  std::string name = {};
  std::vector<ToolCall> tool_calls = {};
  std::string tool_call_id = {};

  std::string text() const;  // the text parts joined
};

struct Tool {
  std::string name = {};
  Json definition = {};  // the whole {"type":"function","function":{…}} object
};

struct Conversation {
  std::vector<Message> messages = {};
  std::vector<Tool> tools = {};
  Json documents = {};  // null when there are none
  Json template_kwargs =
      {};  // scalars for the template (enable_thinking …); null when there are none
  bool add_generation_prompt = true;
};

}  // namespace minerva::chat
