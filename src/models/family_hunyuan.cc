// hunyuan_v1_dense and hunyuan_v1_moe: norms of queries and keys behind RoPE, whose base a number
// called alpha stretches.
#include <algorithm>
#include <cmath>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.layers.{}.self_attn.query_layernorm", "blk.{}.attn_q_norm"},
    {"model.layers.{}.self_attn.key_layernorm", "blk.{}.attn_k_norm"},
    {"model.layers.{}.mlp.gate.wg", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.mlp.shared_mlp.gate_proj", "blk.{}.ffn_gate_shexp"},
    {"model.layers.{}.mlp.shared_mlp.down_proj", "blk.{}.ffn_down_shexp"},
    {"model.layers.{}.mlp.shared_mlp.up_proj", "blk.{}.ffn_up_shexp"},
};

// A number, or the same number for every layer.
Result<std::uint32_t> count_of_all_layers(const FamilyWriter& out, std::string_view key) {
  const auto value = out.config.json().find(key);
  if (value == out.config.json().end() || !value->is_array()) return out.config.count(key);
  const nlohmann::json one = {{key, value->empty() ? nlohmann::json() : value->front()}};
  if (std::ranges::count(*value, one[std::string(key)]) != std::ssize(*value) ||
      value->size() != out.layers) {
    return out.config.refuse(key, "must be the same for every layer");
  }
  return ConfigReader(one, out.config.where()).count(key);
}

Result<void> write(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(write_decoder_keys(out));
  MINERVA_ASSIGN(RopeFacts rope, read_rope_facts(out.config, 10'000));
  const ConfigReader scaling(rope.scaling, out.config.where());
  if (rope.type == "dynamic" && scaling.has("alpha")) {
    MINERVA_ASSIGN(const double alpha, scaling.number("alpha"));
    MINERVA_ASSIGN(const double factor, scaling.number_or("factor", 1));
    if (alpha < 1 || factor != 1 || out.head_dim <= 2)
      return out.config.refuse("rope_scaling", "must have an alpha from 1 on and a factor of 1");
    const double dim = out.head_dim;
    rope.base *= std::pow(alpha, dim / (dim - 2));
    rope.type.clear();
    rope.scaling = nlohmann::json::object();
  }
  return write_rope(out, rope);
}

Result<void> write_moe(FamilyWriter& out) {
  MINERVA_TRY(write(out));
  MINERVA_ASSIGN(const std::uint32_t all, out.config.count("num_experts"));
  MINERVA_ASSIGN(const std::uint32_t used, count_of_all_layers(out, "moe_topk"));
  MINERVA_ASSIGN(const std::uint32_t width, out.config.count("intermediate_size"));
  out.u32("expert_count", all);
  out.u32("expert_used_count", used);
  out.u32("expert_feed_forward_length", width);
  out.u32("expert_shared_feed_forward_length", width);
  return {};
}

}  // namespace

Family hunyuan_dense_family() { return {{"hunyuan_v1_dense"}, "hunyuan-dense", kRules, write}; }
Family hunyuan_moe_family() { return {{"hunyuan_v1_moe"}, "hunyuan-moe", kRules, write_moe}; }

}  // namespace minerva::models
