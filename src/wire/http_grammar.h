// The small words of HTTP's grammar (RFC 9110, section 5.6), as strict as the RFC allows. Pure
// functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace minerva::wire {

bool is_token_char(char c);
bool is_token(std::string_view text);
// Printable ASCII, space, tab and obs-text: no control characters.
bool is_field_text(std::string_view text);

char to_lower(char c);  // ASCII only, whatever the locale
std::string to_lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
std::string_view trim(std::string_view text);  // spaces and tabs at both ends

// 1 to 18 decimal digits and nothing else: no sign, no space, no list. 18 cannot overflow.
std::optional<std::uint64_t> parse_decimal(std::string_view text);
std::optional<unsigned> hex_digit(char c);

// Whether a comma-separated list ("keep-alive, TE") holds this token, ignoring case.
bool list_contains(std::string_view list, std::string_view token);

// %XX decoded, once. Nothing for a broken escape, a control character or invalid UTF-8.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace minerva::wire
