// The hand-written equivalents of the published pre-tokenizer expressions. Each looks at the front
// of a text and says how many bytes the next piece has; the pieces are what splitting by the
// expression gives, unmatched stretches included. No allocation, no failure, any bytes; the work
// for a whole text is linear in its length, because no scanner looks further than a piece or a run
// of white space that the next pieces then consume.
#pragma once

#include <cstddef>
#include <string_view>

namespace minerva::text {

// `text` is not empty; 1 to text.size() bytes.
using Scanner = std::size_t (*)(std::string_view text);

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t scan_gpt2(std::string_view text);

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+
std::size_t scan_llama3(std::string_view text);

// The same with \p{N} for \p{N}{1,3}.
std::size_t scan_qwen2(std::string_view text);

// \p{N}: each number on its own.
std::size_t scan_each_number(std::string_view text);

// \p{N}+
std::size_t scan_numbers(std::string_view text);

// [0-9][0-9][0-9]
std::size_t scan_three_digits(std::string_view text);

// [\p{P}$+<=>^~|]+
std::size_t scan_punctuation(std::string_view text);

// Cuts nothing.
std::size_t scan_all(std::string_view text);

}  // namespace minerva::text
