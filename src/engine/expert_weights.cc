#include "engine/expert_weights.h"

#include <cmath>

#include "engine/model_config.h"
#include "engine/weight_loader.h"

namespace minerva::engine {
namespace {

Result<void> request_beside_dense(WeightLoader& loader, const ModelConfig& config,
                                  const std::string& block, ExpertWeights& to) {
  const std::size_t width = config.width;
  MINERVA_TRY(loader.vector(block + "ffn_gate_inp.scale", 1, width, to.router_norm));
  const auto root = static_cast<float>(std::sqrt(static_cast<double>(width)));
  for (float& weight : to.router_norm) weight /= root;
  MINERVA_TRY(loader.vector(block + "pre_ffw_norm_2.weight", 1, width, to.input_norm));
  MINERVA_TRY(loader.vector(block + "post_ffw_norm_1.weight", 1, width, to.dense_norm));
  MINERVA_TRY(loader.vector(block + "post_ffw_norm_2.weight", 1, width, to.output_norm));
  return loader.vector(block + "ffn_down_exps.scale", 1, config.experts.count, to.scales);
}

}  // namespace

Result<void> request_experts(WeightLoader& loader, const ModelConfig& config,
                             const std::string& block, ExpertWeights& to) {
  const ExpertsConfig& e = config.experts;
  const std::size_t width = config.width;
  MINERVA_TRY(loader.float_matrix(block + "ffn_gate_inp.weight", e.count, width, to.router));
  if (loader.has(block + "ffn_gate_inp.bias")) {
    MINERVA_TRY(loader.vector(block + "ffn_gate_inp.bias", 1, e.count, to.router_bias));
  }
  if (e.choice_bias) {
    MINERVA_TRY(loader.vector(block + "exp_probs_b.bias", 1, e.count, to.choice_bias));
  }
  if (loader.has(block + "ffn_gate_up_exps.weight")) {  // gate and up in one, in this order
    const std::string both = block + "ffn_gate_up_exps.weight";
    const std::size_t ff = e.ff_width;
    MINERVA_TRY(loader.stack_rows(both, e.count, {0, ff, 2 * ff}, width, to.gate));
    MINERVA_TRY(loader.stack_rows(both, e.count, {ff, ff, 2 * ff}, width, to.up));
  } else {
    MINERVA_TRY(loader.stack(block, "ffn_gate", e.count, e.ff_width, width, to.gate));
    MINERVA_TRY(loader.stack(block, "ffn_up", e.count, e.ff_width, width, to.up));
  }
  MINERVA_TRY(loader.stack(block, "ffn_down", e.count, width, e.ff_width, to.down));
  if (e.beside_dense) MINERVA_TRY(request_beside_dense(loader, config, block, to));
  if (e.shared_ff_width == 0) return {};
  const auto matrix = [&](const char* name, std::size_t rows, std::size_t cols, PackedWeight& w) {
    return loader.matrix(block + name, {0, rows, rows}, cols, w);
  };
  if (e.shared_gate) {
    MINERVA_TRY(
        loader.float_matrix(block + "ffn_gate_inp_shexp.weight", 1, width, to.shared_router));
  }
  MINERVA_TRY(matrix("ffn_gate_shexp.weight", e.shared_ff_width, width, to.shared_gate));
  MINERVA_TRY(matrix("ffn_up_shexp.weight", e.shared_ff_width, width, to.shared_up));
  return matrix("ffn_down_shexp.weight", width, e.shared_ff_width, to.shared_down);
}

}  // namespace minerva::engine
