#include "text/pre_tokenizer.h"

#include <algorithm>
#include <iterator>

namespace minerva::text {
namespace {

using Names = std::string_view;

constexpr Names kDefaultNames[] = {"default"};
constexpr Names kGpt2Names[] = {
    "gpt-2",           "phi-2",   "olmo",        "mpt",      "jais",       "trillion",
    "granite-docling", "jina-es", "jina-de",     "gigachat", "jina-v2-es", "jina-v2-de",
    "a.x-4.0",         "mellum",  "modern-bert", "exaone4"};
constexpr Names kSmollmNames[] = {"smollm", "starcoder", "refact",     "command-r",
                                  "exaone", "codeshell", "minerva-7b", "mellum2"};
constexpr Names kLlama3Names[] = {"llama-bpe", "llama3",   "llama-v3", "falcon3",     "falcon-h1",
                                  "pixtral",   "midm-2.0", "lfm2",     "jina-v5-nano"};
constexpr Names kGlm4Names[] = {"glm4", "chatglm-bpe", "dbrx", "smaug-bpe"};
constexpr Names kQwen2Names[] = {"qwen2",  "deepseek-r1-qwen", "stablelm2",   "megrez",
                                 "kormo",  "f2llmv2",          "hunyuan",     "solar-open",
                                 "grok-2", "bailingmoe",       "bailingmoe2", "llada-moe"};
constexpr Names kQwen35Names[] = {"qwen35"};
constexpr Names kUncontractedNames[] = {"ufakzeka"};
constexpr Names kSeedCoderNames[] = {"seed-coder"};
constexpr Names kTekkenNames[] = {"tekken"};
constexpr Names kGpt4oNames[] = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"};
constexpr Names kGraniteEmbedNames[] = {"granite-embed-multi-97m"};
constexpr Names kKimiNames[] = {"kimi-k2"};
constexpr Names kDeepseekLlmNames[] = {"deepseek-llm"};
constexpr Names kDeepseekCoderNames[] = {"deepseek-coder"};
constexpr Names kDeepseek3Names[] = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"};
constexpr Names kFalconNames[] = {"falcon"};
constexpr Names kMinicpm5Names[] = {"minicpm5"};
constexpr Names kLagunaNames[] = {"laguna"};
constexpr Names kBloomNames[] = {"bloom", "poro-chat", "gpt3-finnish"};
constexpr Names kVikingNames[] = {"viking"};

constexpr Scanner kDefault[] = {scan_punctuation, scan_gpt2, scan_numbers, scan_three_digits};
constexpr Scanner kGpt2[] = {scan_gpt2};
constexpr Scanner kSmollm[] = {scan_each_number, scan_gpt2};
constexpr Scanner kLlama3[] = {scan_llama3};
constexpr Scanner kQwen2[] = {scan_qwen2};
constexpr Scanner kQwen35[] = {scan_qwen35};
constexpr Scanner kUncontracted[] = {scan_qwen2_uncontracted};
constexpr Scanner kSeedCoder[] = {scan_seed_coder};
constexpr Scanner kTekken[] = {scan_tekken};
constexpr Scanner kGpt4o[] = {scan_gpt4o};
constexpr Scanner kKimi[] = {scan_kimi};
constexpr Scanner kDeepseekLlm[] = {scan_each_newline, scan_cased_letters, scan_spaced_signs,
                                    scan_end_space,    scan_east_asian,    scan_numbers};
constexpr Scanner kDeepseekCoder[] = {scan_each_newline, scan_spaced_letters,
                                      scan_spaced_punctuation, scan_east_asian, scan_each_number};
constexpr Scanner kDeepseek3[] = {scan_three_numbers, scan_japanese, scan_deepseek3};
constexpr Scanner kFalcon[] = {scan_ascii_punctuation, scan_gpt2, scan_three_digits};
constexpr Scanner kMinicpm5[] = {scan_three_numbers, scan_llama3};
constexpr Scanner kLaguna[] = {scan_newlines, scan_qwen2};
constexpr Scanner kBloom[] = {scan_bloom};
constexpr Scanner kViking[] = {scan_bloom, scan_each_number};

constexpr PreTokenizer kTable[] = {
    {.names = kDefaultNames, .stages = kDefault},
    {.names = kGpt2Names, .stages = kGpt2},
    {.names = kSmollmNames, .stages = kSmollm},
    {.names = kLlama3Names, .stages = kLlama3, .ignore_merges = true, .add_bos = true},
    {.names = kGlm4Names, .stages = kLlama3},
    {.names = kQwen2Names, .stages = kQwen2},
    {.names = kQwen35Names, .stages = kQwen35},
    {.names = kUncontractedNames, .stages = kUncontracted},
    {.names = kSeedCoderNames, .stages = kSeedCoder},
    {.names = kTekkenNames, .stages = kTekken, .ignore_merges = true, .add_bos = true},
    {.names = kGpt4oNames, .stages = kGpt4o},
    {.names = kGraniteEmbedNames, .stages = kGpt4o, .ignore_merges = true},
    {.names = kKimiNames, .stages = kKimi},
    {.names = kDeepseekLlmNames, .stages = kDeepseekLlm},
    {.names = kDeepseekCoderNames, .stages = kDeepseekCoder},
    {.names = kDeepseek3Names, .stages = kDeepseek3},
    {.names = kFalconNames, .stages = kFalcon},
    {.names = kMinicpm5Names, .stages = kMinicpm5, .ignore_merges = true},
    {.names = kLagunaNames, .stages = kLaguna},
    {.names = kBloomNames, .stages = kBloom},
    {.names = kVikingNames, .stages = kViking},
};

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
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
     R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     scan_qwen35, true},
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
     R"(|\s*[\r\n]|\s+(?!\S)|\s+)",
     scan_qwen2, true},
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+)"
     R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3})"
     R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     scan_gpt4o, true},
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N})"
     R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     scan_tekken, true},
    {R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
     R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
     R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3})"
     R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     scan_kimi, true},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|)"
     "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
     "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
     scan_deepseek3, false},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
     R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     scan_deepseek3, false},
    {R"(\p{N})", scan_each_number, false},
    {R"(\p{N}{1,3})", scan_three_numbers, false},
    {R"(\p{N}+)", scan_numbers, false},
    {"[0-9][0-9][0-9]", scan_three_digits, false},
    {R"([\p{P}\$\+<=>\^~\|]+)", scan_punctuation, false},
    {R"([\p{P}\$\+<=>\^~\|`]+)", scan_ascii_punctuation, false},
    {"[\r\n]", scan_each_newline, false},
    {R"([\r\n])", scan_each_newline, false},
    {R"(\s?\p{L}+)", scan_spaced_letters, false},
    {R"(\s?\p{P}+)", scan_spaced_punctuation, false},
    {R"(\s+$)", scan_end_space, false},
    {"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", scan_east_asian, false},
    {"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", scan_japanese, false},
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
