// The flat pass behind check_json: a state machine with one frame for each open array or object.
// Private to json_guard.cc. Frames and keys point into the text, which must outlive it.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "wire/json_guard.h"

namespace minerva::wire {

class JsonScanner {
 public:
  JsonScanner(std::string_view text, const JsonLimits& limits) : text_(text), limits_(limits) {}
  Result<void> run();

 private:
  struct Frame {
    bool object = false;
    std::string_view key;   // object: the key whose value is being read
    std::size_t index = 0;  // array: of the value being read
    std::unordered_set<std::string_view> keys;
  };

  Result<void> value();
  Result<void> open(bool object);
  Result<void> key();
  Result<void> after_value();
  Result<std::string_view> string();
  Result<void> escape();
  Result<unsigned> four_hex();
  Result<void> number();
  Result<void> word();
  Result<void> keep_key(std::string_view raw, std::size_t at);

  bool at_end() const { return pos_ >= text_.size(); }
  char peek() const { return text_[pos_]; }
  bool digit_here() const { return !at_end() && peek() >= '0' && peek() <= '9'; }
  void skip_space();
  std::string path() const;
  // The error at byte `at`, with line and column.
  std::unexpected<Error> refuse(std::size_t at, std::string_view what,
                                ErrorCode code = ErrorCode::InvalidArgument) const;
  std::unexpected<Error> unexpected_here(std::string_view wanted) const;

  std::string_view text_;
  const JsonLimits& limits_;
  std::size_t pos_ = 0;
  std::size_t keys_ = 0;
  std::size_t values_ = 0;
  bool value_next_ = true;  // else: a comma, a closing bracket, or the end
  std::vector<Frame> stack_;
  std::deque<std::string> decoded_keys_;  // those written with escapes
};

}  // namespace minerva::wire
