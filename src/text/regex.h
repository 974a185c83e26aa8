// Regular expressions of a model's files, by PCRE2. They are written for Oniguruma (Ruby's syntax),
// which `tokenizers` uses: what the two read differently is rewritten or refused by name. A model's
// expression meets a user's text, so the work for a text is bounded.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace minerva::text {

// The longest in use (DeepSeek's) has some 500 bytes.
inline constexpr std::size_t kRegexBytesMax = 8192;
// Steps of matching a byte of text may take, over what short texts get in any case.
inline constexpr std::size_t kRegexStepsPerByte = 64;
inline constexpr std::size_t kRegexStepsFree = 100'000;

// Immutable; any thread. A copy is the same expression.
class Regex {
 public:
  // Unsupported for what is not here, InvalidModel for what is no expression.
  static Result<Regex> compile(std::string_view pattern);

  // Calls on_match(begin, end) for the matches from left to right. Bytes that are not UTF-8 match
  // as control characters do. InvalidModel when it would take too long: always or never so for a
  // text, whatever the machine.
  Result<void> for_each_match(
      std::string_view text,
      const std::function<void(std::size_t begin, std::size_t end)>& on_match) const;

 private:
  struct Compiled;
  explicit Regex(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

// The expression in PCRE2's syntax.
Result<std::string> pcre2_of_oniguruma(std::string_view pattern);

}  // namespace minerva::text
