// bert: encoders as transformers' BertModel has them. The pooler is for classification, and no
// vector of a text goes through it.
#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.position_embeddings", "position_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
    {"embeddings.position_ids", "", Change::Skip, true},  // 0, 1, 2, …
    {"encoder.layer.{}.attention.self.query", "blk.{}.attn_q"},
    {"encoder.layer.{}.attention.self.key", "blk.{}.attn_k"},
    {"encoder.layer.{}.attention.self.value", "blk.{}.attn_v"},
    {"encoder.layer.{}.attention.output.dense", "blk.{}.attn_output"},
    {"encoder.layer.{}.attention.output.LayerNorm", "blk.{}.attn_output_norm"},
    {"encoder.layer.{}.intermediate.dense", "blk.{}.ffn_up"},
    {"encoder.layer.{}.output.dense", "blk.{}.ffn_down"},
    {"encoder.layer.{}.output.LayerNorm", "blk.{}.layer_output_norm"},
    {"pooler.dense", "", Change::Skip},
};

constexpr std::pair<std::string_view, std::string_view> kCounts[] = {
    {"num_hidden_layers", "block_count"},          {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},  {"num_attention_heads", "attention.head_count"},
    {"max_position_embeddings", "context_length"},
};

Result<void> write_bert(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"gelu"}));
  MINERVA_TRY(must_be_one_of(out.config, "position_embedding_type", {"absolute"}));
  MINERVA_TRY(must_be(out.config, "is_decoder", false));
  for (const auto& [key, to] : kCounts) {
    MINERVA_ASSIGN(const std::uint32_t count, out.config.count(key));
    out.u32(to, count);
  }
  MINERVA_ASSIGN(const double eps, out.config.number_or("layer_norm_eps", 1e-12));
  out.f32("attention.layer_norm_epsilon", eps);
  out.flag("attention.causal", false);
  return {};
}

}  // namespace

Family bert_family() { return {{"bert"}, "bert", kRules, write_bert}; }

}  // namespace minerva::models
