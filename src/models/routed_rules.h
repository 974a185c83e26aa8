// Tensors of families with dense layers in front of such with experts. Internal to models.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "models/family.h"

namespace minerva::models {

inline constexpr TensorRule kRoutedRules[] = {
    {"model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.mlp.gate.e_score_correction_bias", "blk.{}.exp_probs_b.bias", Change::Float,
     true},
    {"model.layers.{}.mlp.moe_statics.e_score_correction_bias", "blk.{}.exp_probs_b.bias",
     Change::Float, true},
    {"model.layers.{}.mlp.shared_experts.gate_proj", "blk.{}.ffn_gate_shexp"},
    {"model.layers.{}.mlp.shared_experts.down_proj", "blk.{}.ffn_down_shexp"},
    {"model.layers.{}.mlp.shared_experts.up_proj", "blk.{}.ffn_up_shexp"},
    // Of the layers that only guess at further tokens.
    {"model.layers.{}.embed_tokens", "blk.{}.nextn.embed_tokens"},
    {"model.layers.{}.eh_proj", "blk.{}.nextn.eh_proj"},
    {"model.layers.{}.enorm", "blk.{}.nextn.enorm"},
    {"model.layers.{}.hnorm", "blk.{}.nextn.hnorm"},
    {"model.layers.{}.shared_head.head", "blk.{}.nextn.shared_head_head"},
    {"model.layers.{}.shared_head.norm", "blk.{}.nextn.shared_head_norm"},
};

// `first`, then those above.
template <std::size_t kCount>
constexpr auto before_routed_rules(const TensorRule (&first)[kCount]) {
  std::array<TensorRule, kCount + std::size(kRoutedRules)> all{};
  std::ranges::copy(first, all.begin());
  std::ranges::copy(kRoutedRules, all.begin() + kCount);
  return all;
}

}  // namespace minerva::models
