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

// The same with \p{N}+ for \p{N}{1,3}.
std::size_t scan_llama3_numbers(std::string_view text);

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

// The pre-tokenizer Digits: \p{N} and \p{N}+ of a newer Unicode than that of expressions.
std::size_t scan_each_digit(std::string_view text);
std::size_t scan_digits(std::string_view text);

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

// The same with [\p{P}\p{S}]+ for the signs and [\r\n] for the lines.
std::size_t scan_spark(std::string_view text);

// scan_gpt4o with \p{N} for \p{N}{1,3}.
std::size_t scan_youtu(std::string_view text);

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|
//  ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+
std::size_t scan_exaone_moe(std::string_view text);

// Behind scan_llama3, what its last two rules are elsewhere:
// \s{512}(?!\S)|\s{256}(?!\S)| and so on to |\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}
std::size_t scan_space_powers(std::string_view text);

// Digits grouped from the right, two scanners each (scanners_digits.cc).
// (?=(\d{3})+(?!\d)), behind \p{N}+: scan_thousands, then scan_groups_of_3.
// \d{1,3}(?=(?:\d{3})*\b): scan_thousands_of_words, then scan_groups_of_words.
// \p{Nd}{1,510}(?=(?>\p{Nd}{510})*(?:\P{Nd}|$))|\G\p{Nd}{510}: scan_digit_chunks, then
// scan_groups_of_510.
std::size_t scan_thousands(std::string_view text);
std::size_t scan_thousands_of_words(std::string_view text);
std::size_t scan_digit_chunks(std::string_view text);
std::size_t scan_groups_of_3(std::string_view text);
std::size_t scan_groups_of_words(std::string_view text);
std::size_t scan_groups_of_510(std::string_view text);

// \A\p{Nd}{1,2}(?=(?:\p{Nd}{3})+\z)
std::size_t scan_leading_digits(std::string_view text);

// \A\p{Nd}{3}|\G\p{Nd}{3}
std::size_t scan_leading_groups(std::string_view text);

// Runs of one of several scripts (scanners_scripts.cc).
std::size_t scan_youtu_scripts(std::string_view text);
std::size_t scan_trinity_scripts(std::string_view text);

// Chameleon's: <sentinel:[0-9]+>; (IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z; ([\t\n]|    |  );
// [\p{P}!-/:-@\[-`{-~]
std::size_t scan_sentinels(std::string_view text);
std::size_t scan_image_tokens(std::string_view text);
std::size_t scan_tabs_and_spaces(std::string_view text);
std::size_t scan_each_sign(std::string_view text);

// Cuts nothing.
std::size_t scan_all(std::string_view text);

}  // namespace minerva::text
