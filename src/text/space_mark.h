// How the vocabularies of SentencePiece write spaces and bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace minerva::text {

inline constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581

// "<0x0A>" -> 10.
std::optional<std::uint8_t> byte_of_piece(std::string_view piece);

std::string spaces_of_marks(std::string_view piece);

// `prefix`: with one in front.
std::string marks_of_spaces(std::string_view text, bool prefix);

}  // namespace minerva::text
