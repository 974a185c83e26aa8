#include "text/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace minerva::text {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
  // 0xad is the soft hyphen, which prints nothing.
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

struct Alphabet {
  std::array<char32_t, 256> letter{};
  std::array<std::uint8_t, 68> shifted{};  // byte of U+0100 + i
};

constexpr Alphabet make_alphabet() {
  Alphabet out;
  std::size_t shifted = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (stands_for_itself(byte)) {
      out.letter[byte] = byte;
    } else {
      out.letter[byte] = static_cast<char32_t>(0x100 + shifted);
      out.shifted[shifted++] = static_cast<std::uint8_t>(byte);
    }
  }
  return out;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

char32_t letter_of_byte(std::uint8_t byte) { return kAlphabet.letter[byte]; }

std::optional<std::uint8_t> byte_of_letter(char32_t letter) {
  if (letter < 0x100) {
    if (!stands_for_itself(letter)) return std::nullopt;
    return static_cast<std::uint8_t>(letter);
  }
  if (letter - 0x100 >= kAlphabet.shifted.size()) return std::nullopt;
  return kAlphabet.shifted[letter - 0x100];
}

std::string bytes_of_letters(std::string_view piece) {
  std::string out;
  out.reserve(piece.size());
  while (!piece.empty()) {
    const Utf8Char c = utf8_next(piece);
    const std::optional<std::uint8_t> byte =
        c.valid ? byte_of_letter(c.code_point) : std::optional<std::uint8_t>();
    if (byte) {
      out.push_back(static_cast<char>(*byte));
    } else {
      out += piece.substr(0, c.length);
    }
    piece.remove_prefix(c.length);
  }
  return out;
}

}  // namespace minerva::text
