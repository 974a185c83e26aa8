// Expressions that isolate runs of some scripts or of fixed texts.
#include <span>
#include <string_view>

#include "text/code_ranges.h"
#include "text/scanner_parts.h"
#include "text/scanners.h"

namespace minerva::text {
namespace {

using Script = std::span<const CodeRange>;

// Youtu's: Hangul; signs of East Asian text; Bopomofo; ideographs and kana.
constexpr CodeRange kHangul[] = {{0x3131, 0x318e}, {0xac00, 0xd7a3}};
constexpr CodeRange kWideSigns[] = {{0x2014, 0x2014}, {0x2018, 0x2019}, {0x201c, 0x201d},
                                    {0x2026, 0x2026}, {0x3001, 0x303f}, {0xfe30, 0xfe4f},
                                    {0xff01, 0xff01}, {0xff0c, 0xff0c}, {0xff1a, 0xff1b}};
constexpr CodeRange kBopomofo[] = {{0x3105, 0x312f}};
constexpr CodeRange kIdeographs[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};
constexpr Script kYoutu[] = {kHangul, kWideSigns, kBopomofo, kIdeographs};

// Trinity's: Chinese and Japanese, Thai, Lao, Khmer, Burmese, Korean.
constexpr CodeRange kEastAsian[] = {{0x2f00, 0x2fdf}, {0x3040, 0x30ff}, {0x3400, 0x4dbf},
                                    {0x4e00, 0x9fff}, {0xf900, 0xfaff}, {0xff65, 0xff9f}};
constexpr CodeRange kThai[] = {{0x0e00, 0x0e7f}};
constexpr CodeRange kLao[] = {{0x0e80, 0x0eff}};
constexpr CodeRange kKhmer[] = {{0x1780, 0x17ff}};
constexpr CodeRange kBurmese[] = {{0x1000, 0x109f}, {0xa9e0, 0xa9ff}, {0xaa60, 0xaa7f}};
constexpr CodeRange kKorean[] = {{0x1100, 0x11ff}, {0xac00, 0xd7af}};
constexpr Script kTrinity[] = {kEastAsian, kThai, kLao, kKhmer, kBurmese, kKorean};

// Which of the scripts, none of which has a character of another; -1: none.
int script_of(std::span<const Script> scripts, std::string_view text) {
  const Utf8Char c = utf8_next(text);
  if (!c.valid || c.code_point < 0x80) return -1;
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    if (is_in(scripts[i], c.code_point)) return static_cast<int>(i);
  }
  return -1;
}

std::size_t scan_script(std::span<const Script> scripts, std::string_view text) {
  const int script = script_of(scripts, text);
  std::size_t at = 0;
  while (at < text.size() && script_of(scripts, text.substr(at)) == script) {
    at += char_at(text, at).length;
  }
  return at;
}

}  // namespace

std::size_t scan_youtu_scripts(std::string_view text) { return scan_script(kYoutu, text); }

std::size_t scan_trinity_scripts(std::string_view text) { return scan_script(kTrinity, text); }

std::size_t scan_sentinels(std::string_view text) {
  return isolate(text, [](std::string_view rest) -> std::size_t {
    constexpr std::string_view kHead = "<sentinel:";
    if (!rest.starts_with(kHead)) return 0;
    const std::size_t end = rest.find_first_not_of("0123456789", kHead.size());
    return end != std::string_view::npos && end > kHead.size() && rest[end] == '>' ? end + 1 : 0;
  });
}

std::size_t scan_image_tokens(std::string_view text) {
  return isolate(text, [](std::string_view rest) -> std::size_t {
    constexpr std::string_view kHead = "IMGIMG";
    if (!rest.starts_with(kHead)) return 0;
    std::size_t at = kHead.size();
    while (at < rest.size() && at < kHead.size() + 4 && rest[at] >= 'A' && rest[at] <= 'I') ++at;
    return at > kHead.size() && at < rest.size() && rest[at] == 'Z' ? at + 1 : 0;
  });
}

std::size_t scan_tabs_and_spaces(std::string_view text) {
  return isolate(text, [](std::string_view rest) -> std::size_t {
    if (rest[0] == '\t' || rest[0] == '\n') return 1;
    return rest.starts_with("    ") ? 4 : rest.starts_with("  ") ? 2 : 0;
  });
}

std::size_t scan_each_sign(std::string_view text) {
  return isolate(text, [](std::string_view rest) -> std::size_t {
    const ClassedChar c = char_at(rest, 0);
    const bool sign = c.char_class == kPunct || (c.char_class == kSymbol && c.length == 1);
    return sign ? c.length : 0;
  });
}

}  // namespace minerva::text
