// The alphabet in which byte-level vocabularies write bytes: the printable characters of Latin-1
// stand for themselves, the other 68 bytes, in order, for U+0100 upwards (the GPT-2 scheme).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace minerva::text {

char32_t letter_of_byte(std::uint8_t byte);
std::optional<std::uint8_t> byte_of_letter(char32_t letter);

// The bytes that a piece stands for. What is not of the alphabet stands for itself.
std::string bytes_of_letters(std::string_view piece);

}  // namespace minerva::text
