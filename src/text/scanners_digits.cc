// Expressions that group decimal digits from the right, as figures are written: 1 234 567. How a
// run of digits is cut depends on its whole length, and a scanner sees only what is left of it; so
// each expression is two scanners. The first cuts off what a run has over a multiple of the group's
// size, the second cuts what is left from the left. Each looks at a character a bounded number of
// times.
#include <cstddef>
#include <string_view>

#include "text/scanner_parts.h"
#include "text/scanners.h"
#include "text/unicode.h"

namespace minerva::text {
namespace {

// What is cut off where digits stand in a text.
struct DigitGroups {
  std::size_t size;  // of a group
  bool isolated;     // nothing else is in a piece with digits
  bool ends_a_word;  // only of runs behind which no word goes on
};

constexpr DigitGroups kThousands = {.size = 3, .isolated = false, .ends_a_word = false};
constexpr DigitGroups kThousandsOfWords = {.size = 3, .isolated = true, .ends_a_word = true};
constexpr DigitGroups kChunks = {.size = 510, .isolated = true, .ends_a_word = false};

struct DigitRun {
  std::size_t count = 0;
  std::size_t end = 0;
};

// The run of \p{Nd} at `at`, of `count_max` at most.
DigitRun digits_at(std::string_view text, std::size_t at,
                   std::size_t count_max = std::string_view::npos) {
  DigitRun run{.count = 0, .end = at};
  while (run.end < text.size() && run.count < count_max) {
    const Utf8Char c = utf8_next(text.substr(run.end));
    if (!c.valid || !is_decimal_digit(c.code_point)) break;
    ++run.count;
    run.end += c.length;
  }
  return run;
}

// \b behind a word character.
bool is_word_end(std::string_view text, std::size_t at) {
  if (at == text.size()) return true;
  const Utf8Char c = utf8_next(text.substr(at));
  return !c.valid || !is_regex_word_character(c.code_point);
}

std::size_t scan_to_cut(std::string_view text, const DigitGroups& how) {
  for (std::size_t at = 0; at < text.size();) {
    const DigitRun run = digits_at(text, at);
    if (run.count == 0) {
      at += char_at(text, at).length;
      continue;
    }
    if (!how.ends_a_word || is_word_end(text, run.end)) {
      if (how.isolated && at > 0) return at;
      if (run.count >= how.size) {
        const std::size_t cut = digits_at(text, at, run.count % how.size).end;
        if (cut > 0) return cut;
      }
      if (how.isolated) return run.end;
    }
    at = run.end;
  }
  return text.size();
}

std::size_t scan_group(std::string_view text, std::size_t size) {
  if (digits_at(text, 0, size + 1).count <= size) return text.size();
  return digits_at(text, 0, size).end;
}

}  // namespace

std::size_t scan_thousands(std::string_view text) { return scan_to_cut(text, kThousands); }

std::size_t scan_thousands_of_words(std::string_view text) {
  return scan_to_cut(text, kThousandsOfWords);
}

std::size_t scan_digit_chunks(std::string_view text) { return scan_to_cut(text, kChunks); }

std::size_t scan_groups_of_3(std::string_view text) { return scan_group(text, 3); }

// The first scanner's pieces that are digits end in one, and no other piece does.
std::size_t scan_groups_of_words(std::string_view text) {
  std::size_t last = text.size() - 1;
  while (last > 0 && text.size() - last < 4 &&
         (static_cast<std::uint8_t>(text[last]) & 0xc0) == 0x80) {
    --last;
  }
  return digits_at(text, last).count == 1 ? scan_group(text, 3) : text.size();
}

std::size_t scan_groups_of_510(std::string_view text) { return scan_group(text, 510); }

std::size_t scan_leading_digits(std::string_view text) {
  const DigitRun run = digits_at(text, 0);
  const std::size_t over = run.count % 3;
  if (run.end < text.size() || run.count < 3 || over == 0) return text.size();
  return digits_at(text, 0, over).end;
}

std::size_t scan_leading_groups(std::string_view text) {
  const DigitRun run = digits_at(text, 0, 3);
  return run.count == 3 ? run.end : text.size();
}

}  // namespace minerva::text
