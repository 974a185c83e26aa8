#include "chat/message.h"

namespace minerva::chat {

std::string Message::text() const {
  std::string joined;
  if (content) {
    for (const ContentPart& part : *content) {
      if (part.kind == ContentPart::Kind::Text) joined += part.text;
    }
  }
  return joined;
}

}  // namespace minerva::chat
