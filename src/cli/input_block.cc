#include "cli/input_block.h"

#include <utility>

namespace minerva::cli {
namespace {

constexpr std::string_view kQuotes = R"(""")";

}  // namespace

std::string InputBlock::take() {
  state_ = State::Empty;
  return std::exchange(text_, {});
}

void InputBlock::clear() {
  state_ = State::Empty;
  text_.clear();
}

std::optional<std::string> InputBlock::push(std::string_view line) {
  if (state_ == State::Empty && line.starts_with(kQuotes)) {
    line.remove_prefix(kQuotes.size());
    state_ = State::Quoted;
    if (const std::size_t end = line.find(kQuotes); end != std::string_view::npos) {
      text_ = line.substr(0, end);
      return take();
    }
    text_ = line;
    if (!line.empty()) text_ += '\n';
    return std::nullopt;
  }
  if (state_ == State::Quoted) {
    const std::size_t end = line.find(kQuotes);
    text_ += line.substr(0, end);
    if (end != std::string_view::npos) {
      if (text_.ends_with('\n') && end == 0) text_.pop_back();  // the closing line is no line
      return take();
    }
    text_ += '\n';
    return std::nullopt;
  }
  const bool goes_on = line.ends_with('\\');
  if (goes_on) line.remove_suffix(1);
  text_ += line;
  if (!goes_on) return take();
  text_ += '\n';
  state_ = State::Continued;
  return std::nullopt;
}

}  // namespace minerva::cli
