// What a person types into the chat, line by line, put together to one message: a line that ends in
// a backslash goes on in the next, and """ opens a block that goes to the next """. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace minerva::cli {

class InputBlock {
 public:
  // The message, once this line finishes it.
  std::optional<std::string> push(std::string_view line);
  // A message is open: the prompt for its next line looks different.
  bool open() const { return state_ != State::Empty; }
  void clear();

 private:
  enum class State : std::uint8_t { Empty, Continued, Quoted };
  std::string take();

  State state_ = State::Empty;
  std::string text_;
};

}  // namespace minerva::cli
