#include "text/charsmap.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace minerva::text {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";
constexpr std::size_t kGraphemeBytes = 6;
// U+FDFA becomes 33.
constexpr std::size_t kTextBytesMax = 256;

// How a unit of the trie packs its fields.
bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1) != 0; }
std::uint32_t value_of(std::uint32_t unit) { return unit & 0x7fffffffu; }
std::uint32_t label_of(std::uint32_t unit) { return unit & 0x800000ffu; }
std::uint32_t offset_of(std::uint32_t unit) { return (unit >> 10) << ((unit & 1u << 9) >> 6); }

std::uint32_t little_endian(std::string_view bytes, std::size_t at) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    out |= std::uint32_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
  }
  return out;
}

// The bytes of the grapheme that `text` begins with.
std::size_t grapheme_length(std::string_view text) {
  Utf8Char c = utf8_next(text);
  std::size_t at = c.length;
  utf8proc_int32_t state = 0;
  while (c.valid && at < text.size()) {
    const Utf8Char next = utf8_next(text.substr(at));
    if (!next.valid ||
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.code_point),
                                         static_cast<utf8proc_int32_t>(next.code_point), &state)) {
      break;
    }
    c = next;
    at += next.length;
  }
  return at;
}

int value_of_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

}  // namespace

Result<std::string> bytes_of_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  int count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int value = value_of_digit(text[i]);
    if (value < 0) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("precompiled_charsmap is no base64 from character {} on", i),
                  "precompiled_charsmap");
    }
    bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0xffffffu;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xffu);
    }
  }
  return out;
}

Result<std::shared_ptr<const Charsmap>> Charsmap::parse(std::string bytes) {
  auto map = std::make_shared<Charsmap>();
  if (bytes.empty()) return map;
  const std::size_t trie = bytes.size() < 4 ? 0 : little_endian(bytes, 0);
  if (bytes.size() < 4 || trie % 4 != 0 || trie > bytes.size() - 4 || trie == 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("precompiled_charsmap has {} bytes, of which {} should be its trie",
                            bytes.size(), trie),
                "precompiled_charsmap");
  }
  map->units_.reserve(trie / 4);
  for (std::size_t at = 4; at < 4 + trie; at += 4) map->units_.push_back(little_endian(bytes, at));
  map->texts_ = bytes.substr(4 + trie);
  for (std::size_t at = 0; at < map->texts_.size();) {
    const std::size_t end = std::min(map->texts_.find('\0', at), map->texts_.size());
    if (end - at > kTextBytesMax) {
      return fail(
          ErrorCode::InvalidModel,
          fmt::format("precompiled_charsmap turns a character into {} bytes; at most {} are "
                      "possible",
                      end - at, kTextBytesMax),
          "precompiled_charsmap");
    }
    at = end + 1;
  }
  return map;
}

std::optional<Charsmap::Match> Charsmap::find(std::string_view text, Want want) const {
  if (units_.empty()) return std::nullopt;
  std::optional<Match> out;
  std::size_t at = offset_of(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || label_of(units_[at]) != byte) break;
    const bool leaf = has_leaf(units_[at]);
    at ^= offset_of(units_[at]);
    if (!leaf) continue;
    if (at >= units_.size()) break;
    const std::size_t begin = value_of(units_[at]);
    if (begin >= texts_.size()) break;
    const std::size_t end = texts_.find('\0', begin);
    out = Match{i + 1, std::string_view(texts_).substr(
                           begin, end == std::string::npos ? std::string::npos : end - begin)};
    if (want == Want::Shortest) break;
  }
  return out;
}

std::string Charsmap::longest(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Char c = utf8_next(text);
    std::size_t length = c.length;
    if (const auto match = find(text, Want::Longest)) {
      out += match->by;
      length = match->length;
    } else {
      out += c.valid ? text.substr(0, length) : kReplacement;
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string Charsmap::by_grapheme(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = grapheme_length(text);
    std::string_view grapheme = text.substr(0, length);
    text.remove_prefix(length);
    if (grapheme.size() < kGraphemeBytes) {
      if (const auto match = find(grapheme, Want::Shortest)) {
        out += match->by;
        continue;
      }
    }
    while (!grapheme.empty()) {
      const std::string_view character = grapheme.substr(0, utf8_next(grapheme).length);
      const auto match = find(character, Want::Shortest);
      out += match ? match->by : character;
      grapheme.remove_prefix(character.size());
    }
  }
  return out;
}

}  // namespace minerva::text
