// The table by which models of SentencePiece rewrite characters before they cut a text
// (precompiled_charsmap): a double-array trie of byte strings, and what each becomes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace minerva::text {

// Immutable; any thread. Every index of the file is checked when it is followed.
class Charsmap {
 public:
  // InvalidModel when the lengths in it do not fit. `bytes` may be empty: nothing is rewritten.
  static Result<std::shared_ptr<const Charsmap>> parse(std::string bytes);

  // As SentencePiece does it: at each place the longest entry. Bytes that are not UTF-8 become
  // U+FFFD.
  std::string longest(std::string_view text) const;
  // As `tokenizers` does it: a grapheme under 6 bytes becomes what the shortest entry that it
  // begins with says, of other ones each character does. Bytes that are not UTF-8 stay.
  std::string by_grapheme(std::string_view text) const;

 private:
  struct Match {
    std::size_t length;
    std::string_view by;
  };
  enum class Want : std::uint8_t { Shortest, Longest };
  std::optional<Match> find(std::string_view text, Want want) const;

  std::vector<std::uint32_t> units_;
  std::string texts_;  // each ends in a zero byte
};

Result<std::string> bytes_of_base64(std::string_view text);

}  // namespace minerva::text
