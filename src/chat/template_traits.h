// Which shapes of a message a template understands, found by rendering small conversations: some
// take content as a list of parts, some only as a string; some want a tool call's arguments as an
// object, some as JSON text; some fail on content that is null. Plain values.
#pragma once

#include <cstdint>

namespace minerva::chat {

class ChatTemplate;

enum class ContentShape : std::uint8_t { String, Parts, Either };
enum class ArgumentsShape : std::uint8_t { Object, Text };

struct TemplateTraits {
  ContentShape content = ContentShape::String;
  ArgumentsShape arguments = ArgumentsShape::Object;
  // Does a turn of tool calls only keep its null content? Else it becomes an empty string.
  bool takes_null_content = true;
};

// What cannot be found out (the template refuses the little conversations) stays as above.
TemplateTraits probe_traits(const ChatTemplate& chat_template);

}  // namespace minerva::chat
