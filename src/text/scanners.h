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

// The same with [\p{L}\p{M}] for \p{L}, and marks are no signs.
std::size_t scan_qwen35(std::string_view text);

// scan_qwen2 without contractions.
std::size_t scan_qwen2_uncontracted(std::string_view text);

// scan_qwen2 without the newlines after signs.
std::size_t scan_seed_coder(std::string_view text);

// With upper for \p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}, lower for \p{Ll}\p{Lm}\p{Lo}\p{M} and end for
// (?i:'s|'t|'re|'ve|'m|'ll|'d)?:
// [^\r\n\p{L}\p{N}]?[upper]*[lower]+(end)|[^\r\n\p{L}\p{N}]?[upper]+[lower]*(end)|\p{N}{1,3}|
//  ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t scan_gpt4o(std::string_view text);

// The same without (end), and \p{N} for \p{N}{1,3}.
std::size_t scan_tekken(std::string_view text);

// scan_gpt4o with [\r\n]* after signs, and first [\p{Han}]+, which is in neither upper nor lower.
std::size_t scan_kimi(std::string_view text);

// \p{N}: each number on its own.
std::size_t scan_each_number(std::string_view text);

// \p{N}{1,3}
std::size_t scan_three_numbers(std::string_view text);

// \p{N}+
std::size_t scan_numbers(std::string_view text);

// [0-9][0-9][0-9]
std::size_t scan_three_digits(std::string_view text);

// [\p{P}$+<=>^~|]+
std::size_t scan_punctuation(std::string_view text);

// [\p{P}$+<=>^`|~]+: the punctuation of `tokenizers`, runs of it
std::size_t scan_ascii_punctuation(std::string_view text);

// [^\n]+|[\n]+
std::size_t scan_newlines(std::string_view text);

//  ?[^(\s|.,!?…。，、।۔،)]+
std::size_t scan_bloom(std::string_view text);

// DeepSeek's: [\r\n]; \s?[letters]+ with a list of letters that have case; \s?[signs]+; \s+$;
// \s?\p{L}+; \s?\p{P}+; [一-龥ࠀ-一가-퟿]+; [一-龥぀-ゟ゠-ヿ]+
std::size_t scan_each_newline(std::string_view text);
std::size_t scan_cased_letters(std::string_view text);
std::size_t scan_spaced_signs(std::string_view text);
std::size_t scan_end_space(std::string_view text);
std::size_t scan_spaced_letters(std::string_view text);
std::size_t scan_spaced_punctuation(std::string_view text);
std::size_t scan_east_asian(std::string_view text);
std::size_t scan_japanese(std::string_view text);

// [ascii sign][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+
std::size_t scan_deepseek3(std::string_view text);

// Cuts nothing.
std::size_t scan_all(std::string_view text);

}  // namespace minerva::text
