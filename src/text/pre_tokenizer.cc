#include "text/pre_tokenizer.h"

#include <algorithm>

namespace minerva::text {
namespace {

using Names = std::string_view;

constexpr Names kDefaultNames[] = {"default"};
constexpr Names kGpt2Names[] = {
    "gpt-2",      "phi-2",           "olmo",         "mpt",        "jais",
    "trillion",   "granite-docling", "jina-es",      "jina-de",    "gigachat",
    "jina-v2-es", "jina-v2-de",      "a.x-4.0",      "mellum",     "modern-bert",
    "exaone4",    "jina-v1-en",      "jina-v2-code", "roberta-bpe"};
constexpr Names kSmollmNames[] = {"smollm", "starcoder", "refact",     "command-r",
                                  "exaone", "codeshell", "minerva-7b", "mellum2"};
constexpr Names kLlama3Names[] = {"llama-bpe", "llama3",   "llama-v3", "falcon3",     "falcon-h1",
                                  "pixtral",   "midm-2.0", "lfm2",     "jina-v5-nano"};
constexpr Names kGlm4Names[] = {"glm4", "glm5"};
constexpr Names kDbrxNames[] = {"chatglm-bpe", "dbrx", "smaug-bpe"};
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
constexpr Names kExaoneMoeNames[] = {"exaone-moe"};
constexpr Names kJais2Names[] = {"jais-2"};
constexpr Names kSuperbpeNames[] = {"superbpe"};
constexpr Names kTinyAyaNames[] = {"tiny_aya", "cohere2moe"};
constexpr Names kTrinityNames[] = {"afmoe"};
constexpr Names kYoutuNames[] = {"youtu"};
constexpr Names kSparkNames[] = {"spark2_5"};
constexpr Names kChameleonNames[] = {"chameleon"};

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
constexpr Scanner kMinicpm5[] = {scan_three_numbers, scan_llama3_numbers};
constexpr Scanner kLaguna[] = {scan_newlines, scan_qwen2};
constexpr Scanner kBloom[] = {scan_bloom};
constexpr Scanner kViking[] = {scan_bloom, scan_each_number};
constexpr Scanner kExaoneMoe[] = {scan_exaone_moe};
constexpr Scanner kJais2[] = {scan_llama3, scan_space_powers};
constexpr Scanner kSuperbpe[] = {scan_numbers, scan_thousands, scan_groups_of_3};
constexpr Scanner kTinyAya[] = {scan_thousands_of_words, scan_groups_of_words, scan_gpt4o};
constexpr Scanner kTrinity[] = {scan_digit_chunks,   scan_groups_of_510,   scan_leading_digits,
                                scan_leading_groups, scan_trinity_scripts, scan_deepseek3};
constexpr Scanner kYoutu[] = {scan_youtu_scripts, scan_youtu};
constexpr Scanner kSpark[] = {scan_three_numbers, scan_japanese, scan_spark, scan_each_number};
constexpr Scanner kChameleon[] = {scan_sentinels,   scan_image_tokens, scan_tabs_and_spaces,
                                  scan_each_number, scan_each_sign,    scan_gpt2};

constexpr PreTokenizer kTable[] = {
    {.names = kDefaultNames, .stages = kDefault},
    {.names = kGpt2Names, .stages = kGpt2},
    {.names = kSmollmNames, .stages = kSmollm},
    {.names = kLlama3Names, .stages = kLlama3, .ignore_merges = true, .add_bos = true},
    {.names = kGlm4Names, .stages = kLlama3, .ignore_merges = true},
    {.names = kDbrxNames, .stages = kLlama3},
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
    {.names = kExaoneMoeNames, .stages = kExaoneMoe},
    {.names = kJais2Names, .stages = kJais2},
    {.names = kSuperbpeNames, .stages = kSuperbpe},
    {.names = kTinyAyaNames, .stages = kTinyAya},
    {.names = kTrinityNames, .stages = kTrinity},
    {.names = kYoutuNames, .stages = kYoutu, .ignore_merges = true},
    {.names = kSparkNames, .stages = kSpark},
    {.names = kChameleonNames, .stages = kChameleon, .add_bos = true},
};

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizer& row : kTable) {
    if (std::find(row.names.begin(), row.names.end(), name) != row.names.end()) return &row;
  }
  return nullptr;
}

namespace {

// The expressions that GGUF's names stand for know thirteen digits less than the pre-tokenizer
// Digits.
Scanner of_expressions(Scanner scanner) {
  if (scanner == scan_each_digit) return scan_each_number;
  if (scanner == scan_digits) return scan_numbers;
  return scanner;
}

}  // namespace

std::string_view name_of_cutter(const WordCutter& cutter) {
  for (const PreTokenizer& row : kTable) {
    if (row.ignore_merges != cutter.ignore_merges ||
        !std::ranges::equal(row.stages, cutter.stages, {}, {}, of_expressions))
      continue;
    // By the names of ChatGLM other programs know more than how words are cut.
    for (const std::string_view name : row.names)
      if (name != "glm4" && name != "chatglm-bpe") return name;
  }
  return {};
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
