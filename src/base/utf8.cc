#include "base/utf8.h"

#include <algorithm>
#include <cstdint>

namespace minerva {
namespace {

struct Lead {
  std::size_t length;  // 0 for a byte that cannot start a character
  std::uint8_t second_min;
  std::uint8_t second_max;
};

// Unicode 15 table 3-7: only the second byte's range depends on the lead.
Lead lead_of(std::uint8_t b) {
  if (b < 0x80) return {1, 0, 0};
  if (b < 0xc2) return {0, 0, 0};
  if (b < 0xe0) return {2, 0x80, 0xbf};
  if (b == 0xe0) return {3, 0xa0, 0xbf};
  if (b == 0xed) return {3, 0x80, 0x9f};
  if (b < 0xf0) return {3, 0x80, 0xbf};
  if (b == 0xf0) return {4, 0x90, 0xbf};
  if (b < 0xf4) return {4, 0x80, 0xbf};
  if (b == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

std::uint8_t byte_at(std::string_view text, std::size_t i) {
  return static_cast<std::uint8_t>(text[i]);
}

// How many of the bytes at the front agree with the lead's form, at most lead.length.
std::size_t matching_bytes(std::string_view text, Lead lead) {
  const std::size_t end = std::min(lead.length, text.size());
  for (std::size_t i = 1; i < end; ++i) {
    const std::uint8_t b = byte_at(text, i);
    const std::uint8_t low = i == 1 ? lead.second_min : 0x80;
    const std::uint8_t high = i == 1 ? lead.second_max : 0xbf;
    if (b < low || b > high) return i;
  }
  return end;
}

}  // namespace

Utf8Char utf8_next(std::string_view text) {
  const std::uint8_t first = byte_at(text, 0);
  const Lead lead = lead_of(first);
  if (lead.length == 1) return {first, 1, true};
  if (lead.length == 0 || matching_bytes(text, lead) != lead.length) return {};
  char32_t code_point = first & (0x7fu >> lead.length);
  for (std::size_t i = 1; i < lead.length; ++i) {
    code_point = code_point << 6 | (byte_at(text, i) & 0x3fu);
  }
  return {code_point, lead.length, true};
}

std::size_t utf8_first_invalid(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_next(text.substr(at));
    if (!c.valid) return at;
    at += c.length;
  }
  return std::string_view::npos;
}

bool utf8_valid(std::string_view text) {
  return utf8_first_invalid(text) == std::string_view::npos;
}

void utf8_append(std::string& out, char32_t c) {
  auto put = [&out](char32_t bits) { out.push_back(static_cast<char>(bits)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

std::size_t utf8_incomplete_suffix(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const std::string_view tail = text.substr(text.size() - back);
    const std::uint8_t b = byte_at(tail, 0);
    if ((b & 0xc0) == 0x80) continue;
    const Lead lead = lead_of(b);
    return lead.length > back && matching_bytes(tail, lead) == back ? back : 0;
  }
  return 0;
}

std::string utf8_replace_invalid(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Char c = utf8_next(text);
    if (c.valid) {
      out += text.substr(0, c.length);
    } else {
      out += "\xef\xbf\xbd";
    }
    text.remove_prefix(c.length);
  }
  return out;
}

}  // namespace minerva
