// bert: encoders as transformers' BertModel, RobertaModel and XLMRobertaModel have them. The pooler
// is for classification, and no vector of a text goes through it.
#include <fmt/format.h>

#include <array>

#include "models/family.h"

namespace minerva::models {
namespace {

// RoBERTa counts positions from 2 on; the first two rows are for padding.
constexpr std::uint32_t kRobertaFirst = 2;

constexpr std::array<TensorRule, 14> rules(Change positions) {
  return {{
      {"embeddings.word_embeddings", "token_embd"},
      {"embeddings.position_embeddings", "position_embd", positions},
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
  }};
}
constexpr auto kBertRules = rules(Change::Same);
constexpr auto kRobertaRules = rules(Change::FromThird);

constexpr std::pair<std::string_view, std::string_view> kCounts[] = {
    {"num_hidden_layers", "block_count"},
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"num_attention_heads", "attention.head_count"},
};

Result<void> write(FamilyWriter& out, std::uint32_t first_position) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"gelu"}));
  MINERVA_TRY(must_be_one_of(out.config, "position_embedding_type", {"absolute"}));
  MINERVA_TRY(must_be(out.config, "is_decoder", false));
  for (const auto& [key, to] : kCounts) {
    MINERVA_ASSIGN(const std::uint32_t count, out.config.count(key));
    out.u32(to, count);
  }
  MINERVA_ASSIGN(const std::uint32_t positions, out.config.count("max_position_embeddings"));
  if (positions <= first_position) {
    return out.config.refuse(
        "max_position_embeddings",
        fmt::format("is {}; positions are counted from {} on", positions, first_position));
  }
  out.u32("context_length", positions - first_position);
  MINERVA_ASSIGN(const double eps, out.config.number_or("layer_norm_eps", 1e-12));
  out.f32("attention.layer_norm_epsilon", eps);
  out.flag("attention.causal", false);
  // llama.cpp wants it of every such file.
  MINERVA_ASSIGN(const std::uint32_t types, out.config.count_or("type_vocab_size", 2));
  out.vocabulary_u32("token_type_count", types);
  return {};
}

Result<void> write_bert(FamilyWriter& out) { return write(out, 0); }

Result<void> write_roberta(FamilyWriter& out) {
  MINERVA_ASSIGN(const std::uint32_t padding, out.config.count_or("pad_token_id", 1));
  if (padding + 1 != kRobertaFirst)
    return out.config.refuse("pad_token_id", "must be 1 for this family to be run here");
  return write(out, kRobertaFirst);
}

}  // namespace

Family bert_family() { return {{"bert"}, "bert", kBertRules, write_bert}; }
Family roberta_family() {
  return {{"xlm-roberta", "roberta"}, "bert", kRobertaRules, write_roberta};
}

}  // namespace minerva::models
