#include "text/pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace minerva::text {
namespace {

using Names = std::string_view;

constexpr Names kDefaultNames[] = {"default"};
constexpr Names kGpt2Names[] = {"gpt-2", "phi-2", "olmo", "mpt"};
constexpr Names kSmollmNames[] = {"smollm", "starcoder", "refact", "command-r", "exaone"};
constexpr Names kLlama3Names[] = {"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"};
constexpr Names kGlm4Names[] = {"glm4", "chatglm-bpe"};
constexpr Names kQwen2Names[] = {"qwen2", "deepseek-r1-qwen", "stablelm2", "megrez"};

constexpr Scanner kDefault[] = {scan_punctuation, scan_gpt2, scan_numbers, scan_three_digits};
constexpr Scanner kGpt2[] = {scan_gpt2};
constexpr Scanner kSmollm[] = {scan_each_number, scan_gpt2};
constexpr Scanner kLlama3[] = {scan_llama3};
constexpr Scanner kQwen2[] = {scan_qwen2};

constexpr std::array<PreTokenizer, 6> kTable = {{
    {.names = kDefaultNames, .stages = kDefault},
    {.names = kGpt2Names, .stages = kGpt2},
    {.names = kSmollmNames, .stages = kSmollm},
    {.names = kLlama3Names, .stages = kLlama3, .ignore_merges = true, .add_bos = true},
    {.names = kGlm4Names, .stages = kLlama3},
    {.names = kQwen2Names, .stages = kQwen2},
}};

constexpr KnownExpression kExpressions[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|)"
     R"(\s+(?!\S)|\s+)",
     scan_gpt2, true},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
     R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     scan_llama3, true},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
     R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     scan_qwen2, true},
    {R"(\p{N})", scan_each_number, false},
    {R"(\p{N}+)", scan_numbers, false},
    {"[0-9][0-9][0-9]", scan_three_digits, false},
    {R"([\p{P}\$\+<=>\^~\|]+)", scan_punctuation, false},
};

}  // namespace

const KnownExpression* find_expression(std::string_view text) {
  const auto* const found = std::ranges::find(kExpressions, text, &KnownExpression::text);
  return found == std::end(kExpressions) ? nullptr : found;
}

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizer& row : kTable) {
    if (std::find(row.names.begin(), row.names.end(), name) != row.names.end()) return &row;
  }
  return nullptr;
}

std::string known_pre_tokenizers() {
  std::string out;
  for (const PreTokenizer& row : kTable) {
    for (const std::string_view name : row.names) {
      if (!out.empty()) out += ", ";
      out += name;
    }
  }
  return out;
}

}  // namespace minerva::text
