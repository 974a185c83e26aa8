#include <algorithm>
#include <array>

#include "models/family.h"

namespace minerva::models {

std::span<const Family> all_families() {
  static const std::array kFamilies = {
      llama_family(),          mistral3_family(),     mixtral_family(),     granite_family(),
      smollm3_family(),        qwen2_family(),        qwen3_family(),       qwen2_moe_family(),
      qwen3_moe_family(),      gemma2_family(),       gemma3_family(),      phi3_family(),
      cohere_family(),         cohere2_family(),      olmo2_family(),       olmo3_family(),
      stablelm_family(),       starcoder2_family(),   glm4_family(),        gpt_oss_family(),
      gemma_family(),          gemma4_family(),       arcee_family(),       nemotron_family(),
      exaone4_family(),        seed_oss_family(),     ernie4_5_family(),    ernie4_5_moe_family(),
      hunyuan_dense_family(),  hunyuan_moe_family(),  olmoe_family(),       granitemoe_family(),
      granite_hybrid_family(), glm4_moe_family(),     dots1_family(),       lfm2_family(),
      lfm2_moe_family(),       deepseek_v2_family(),  deepseek_v3_family(), glm4_moe_lite_family(),
      bert_family(),           roberta_family(),      qwen2_vl_family(),    qwen2_5_vl_family(),
      qwen3_vl_family(),       qwen3_vl_moe_family(), apertus_family(),     minimax_m2_family(),
      phimoe_family(),         llama4_family(),       exaone_family(),      internlm2_family(),
      internlm3_family(),      minicpm_family(),      minicpm3_family(),    bailing_moe_family(),
      qwen3_next_family(),     qwen3_5_family(),      qwen3_5_moe_family(),
  };
  return kFamilies;
}

const Family* find_family(std::string_view model_type) {
  if (model_type.empty()) return nullptr;
  for (const Family& family : all_families()) {
    if (std::ranges::find(family.model_types, model_type) != family.model_types.end())
      return &family;
  }
  return nullptr;
}

}  // namespace minerva::models
