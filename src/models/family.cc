#include "models/family.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace minerva::models {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t kHeadDimMax = 1U << 16;

constexpr TensorRule kDecoderRules[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
    {"model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
    {"model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"},
    {"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"},
    {"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"},
    {"model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"},
    {"model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"},
    {"model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"},
    {"model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"},
    {"model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"},
    {"model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"},
    {"model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"},
    // Of experts: each one's own, or mlx-lm's, which are stacked.
    {"model.layers.{}.mlp.experts.{}.gate_proj", "blk.{}.ffn_gate_exps"},
    {"model.layers.{}.mlp.experts.{}.down_proj", "blk.{}.ffn_down_exps"},
    {"model.layers.{}.mlp.experts.{}.up_proj", "blk.{}.ffn_up_exps"},
    {"model.layers.{}.mlp.switch_mlp.gate_proj", "blk.{}.ffn_gate_exps"},
    {"model.layers.{}.mlp.switch_mlp.down_proj", "blk.{}.ffn_down_exps"},
    {"model.layers.{}.mlp.switch_mlp.up_proj", "blk.{}.ffn_up_exps"},
    // Computed from the configuration by everyone; old files keep it.
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", "", Change::Skip, true},
};

// What llama3 scaling divides the frequency of each pair by: nothing of the fast ones, all of the
// slow ones, and a mix between.
Result<std::vector<float>> llama3_factors(const RopeFacts& rope, const ConfigReader& config,
                                          std::uint32_t rotated) {
  const ConfigReader scaling(rope.scaling, config.where());
  MINERVA_ASSIGN(const double factor, scaling.number("factor"));
  MINERVA_ASSIGN(const double low, scaling.number("low_freq_factor"));
  MINERVA_ASSIGN(const double high, scaling.number("high_freq_factor"));
  MINERVA_ASSIGN(const double context, scaling.number("original_max_position_embeddings"));
  if (factor <= 0 || low <= 0 || high < low || context <= 0)
    return config.refuse("rope_scaling", "of type llama3 has numbers that make no sense");
  std::vector<float> factors;
  for (std::uint32_t i = 0; i < rotated; i += 2) {
    const double frequency = std::pow(rope.base, -static_cast<double>(i) / rotated);
    const double turns = context * frequency / (2 * std::numbers::pi);
    double kept = turns < low ? 0 : 1;  // where there is nothing between
    if (high > low) kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    factors.push_back(static_cast<float>(1 / ((1 - kept) / factor + kept)));
  }
  return factors;
}

Result<void> write_yarn(FamilyWriter& out, const RopeFacts& rope) {
  const ConfigReader scaling(rope.scaling, out.config.where());
  MINERVA_ASSIGN(const double factor, scaling.number("factor"));
  MINERVA_ASSIGN(const std::uint32_t context,
                 scaling.count_or("original_max_position_embeddings", out.context));
  MINERVA_ASSIGN(const bool rounded, scaling.flag_or("truncate", true));
  if (rounded != out.rounded_ramp)
    return scaling.refuse("truncate", fmt::format("must be {} in this family", out.rounded_ramp));
  out.text("rope.scaling.type", "yarn");
  out.f32("rope.scaling.factor", factor);
  out.u32("rope.scaling.original_context_length", context);
  for (const char* name : {"beta_fast", "beta_slow"}) {
    if (!scaling.has(name)) continue;
    MINERVA_ASSIGN(const double beta, scaling.number(name));
    out.f32(fmt::format("rope.scaling.yarn_{}", name), beta);
  }
  if (scaling.has("llama_4_scaling_beta") && !out.growing_queries)
    return scaling.refuse("llama_4_scaling_beta", "is not known in this family");
  if (scaling.has("mscale") || scaling.has("mscale_all_dim")) {
    MINERVA_ASSIGN(const double scale, scaling.number_or("mscale", 1));
    MINERVA_ASSIGN(const double all, scaling.number_or("mscale_all_dim", 0));
    if (out.key_dim != 0) {
      // deepseek2's files have a tenth of it, and its makers' code takes back what they share.
      if (scale != all) return scaling.refuse("mscale", "must be as mscale_all_dim");
      if (all != 0) out.f32("rope.scaling.yarn_log_multiplier", 0.1 * all);
    } else {
      if (scale != 1) return scaling.refuse("mscale", "must be 1");
      if (all != 0) out.f32("rope.scaling.yarn_log_multiplier", all);
    }
  }
  if (scaling.has("attention_factor")) {
    // GGUF's number multiplies what follows from the factor.
    MINERVA_ASSIGN(const double wanted, scaling.number("attention_factor"));
    const double usual = factor > 1 ? 0.1 * std::log(factor) + 1 : 1;
    out.f32("rope.scaling.attn_factor", wanted / usual);
  }
  return {};
}

// Members of `rope` that are not of this type's scaling would be dropped in silence.
Result<void> refuse_unread(const RopeFacts& rope, const ConfigReader& config,
                           std::initializer_list<std::string_view> read) {
  for (const auto& [key, value] : rope.scaling.items()) {
    static constexpr std::string_view kAlways[] = {"type", "rope_type", "rope_theta",
                                                   "partial_rotary_factor"};
    if (std::ranges::find(kAlways, key) != std::end(kAlways) || value.is_null()) continue;
    if (std::ranges::find(read, key) != read.end()) continue;
    return config.refuse("rope_scaling",
                         fmt::format("has the member {}, which is not understood for type {}", key,
                                     rope.type.empty() ? "default" : rope.type));
  }
  return {};
}

}  // namespace

std::string FamilyWriter::key_of(std::string_view key) const {
  return fmt::format("{}.{}", architecture_, key);
}
void FamilyWriter::u32(std::string_view key, std::uint32_t value) {
  metadata_.add_u32(key_of(key), value);
}
void FamilyWriter::vocabulary_u32(std::string_view key, std::uint32_t value) {
  metadata_.add_u32(fmt::format("tokenizer.ggml.{}", key), value);
}
void FamilyWriter::f32(std::string_view key, double value) {
  metadata_.add_f32(key_of(key), static_cast<float>(value));
}
void FamilyWriter::flag(std::string_view key, bool value) {
  metadata_.add_bool(key_of(key), value);
}
void FamilyWriter::i32s(std::string_view key, std::span<const std::int32_t> values) {
  metadata_.add_i32s(key_of(key), values);
}
void FamilyWriter::plain_f32s(std::string_view key, std::span<const float> values) {
  metadata_.add_f32s(std::string(key), values);
}
void FamilyWriter::flags(std::string_view key, const std::vector<bool>& values) {
  metadata_.add_bools(key_of(key), values);
}
void FamilyWriter::text(std::string_view key, std::string_view value) {
  metadata_.add_string(key_of(key), value);
}
void FamilyWriter::tensor(std::string name, std::vector<float> values) {
  tensors.emplace_back(std::move(name), std::move(values));
}

void FamilyWriter::set_defaults(nlohmann::json defaults) {
  for (const auto& [key, value] : config.json().items())
    if (!value.is_null()) defaults[key] = value;
  replace_config(std::move(defaults));
}

void FamilyWriter::replace_config(nlohmann::json changed) {
  with_defaults_ = std::move(changed);
  config = ConfigReader(with_defaults_, config.where());
}

std::span<const TensorRule> decoder_rules() { return kDecoderRules; }

Result<RopeFacts> read_rope_facts(const ConfigReader& config, double base, std::string_view kind) {
  RopeFacts facts;
  MINERVA_ASSIGN(facts.base, config.number_or("rope_theta", base));
  MINERVA_ASSIGN(facts.rotated, config.number_or("partial_rotary_factor", 1));
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (config.has(key) && config.object(key) == nullptr)
      return config.refuse(key, "must be an object");
  }
  // Transformers 5 has one object for everything, or one for each kind of layer; older versions
  // keep the base beside the scaling.
  const Json* object = config.object("rope_parameters");
  if (object != nullptr && !kind.empty()) {
    const ConfigReader kinds(*object, config.where());
    if (const Json* one = kinds.object(kind)) object = one;
  }
  if (object == nullptr) object = config.object("rope_scaling");
  if (object != nullptr) {
    facts.scaling = *object;
    const ConfigReader reader(facts.scaling, config.where());
    MINERVA_ASSIGN(facts.base, reader.number_or("rope_theta", facts.base));
    MINERVA_ASSIGN(facts.rotated, reader.number_or("partial_rotary_factor", facts.rotated));
    MINERVA_ASSIGN(const std::string old_name, reader.text_or("type", ""));
    MINERVA_ASSIGN(facts.type, reader.text_or("rope_type", old_name));
    if (facts.type == "default") facts.type.clear();
  }
  if (facts.base <= 0 || facts.rotated <= 0 || facts.rotated > 1)
    return config.refuse("rope_theta", "or partial_rotary_factor is out of range");
  return facts;
}

Result<void> write_decoder_keys(FamilyWriter& out) {
  const ConfigReader& config = out.config;
  // Models of embeddings may have been made of decoders whose tokens see the whole text.
  MINERVA_TRY(must_be(config, "is_causal", true));
  MINERVA_TRY(must_be(config, "use_bidirectional_attention", false));
  MINERVA_ASSIGN(out.layers, config.count("num_hidden_layers"));
  MINERVA_ASSIGN(out.width, config.count("hidden_size"));
  MINERVA_ASSIGN(out.heads, config.count("num_attention_heads"));
  MINERVA_ASSIGN(out.kv_heads, config.count_or("num_key_value_heads", out.heads));
  MINERVA_ASSIGN(out.head_dim, config.count_or("head_dim", std::max(1U, out.width / out.heads)));
  // Numbers are computed for each pair of a head's values.
  if (out.head_dim > kHeadDimMax)
    return config.refuse("head_dim", fmt::format("(or hidden_size / num_attention_heads) is {}, at "
                                                 "most {} are allowed",
                                                 out.head_dim, kHeadDimMax));
  MINERVA_ASSIGN(out.context, config.count("max_position_embeddings"));
  MINERVA_ASSIGN(const std::uint32_t ff_width, config.count("intermediate_size"));
  out.u32("block_count", out.layers + out.draft_layers);
  if (out.draft_layers != 0) out.u32("nextn_predict_layers", out.draft_layers);
  out.u32("context_length", out.context);
  out.u32("embedding_length", out.width);
  out.u32("feed_forward_length", ff_width);
  out.u32("attention.head_count", out.heads);
  if (out.kv_heads_of_layers.empty()) {
    out.u32("attention.head_count_kv", out.kv_heads);
  } else {
    out.i32s("attention.head_count_kv", out.kv_heads_of_layers);
  }
  out.u32("attention.key_length", out.key_dim == 0 ? out.head_dim : out.key_dim);
  out.u32("attention.value_length", out.value_dim == 0 ? out.head_dim : out.value_dim);
  if (config.has("rms_norm_eps")) {
    MINERVA_ASSIGN(const double epsilon, config.number("rms_norm_eps"));
    out.f32("attention.layer_norm_rms_epsilon", epsilon);
  }
  if (!config.has("rms_norm_eps") && !config.has("layer_norm_eps") && !config.has("norm_epsilon"))
    return config.refuse("rms_norm_eps", "or layer_norm_eps must be a number");
  if (config.has("vocab_size")) {
    MINERVA_ASSIGN(const std::uint32_t vocabulary, config.count("vocab_size"));
    out.u32("vocab_size", vocabulary);
  }
  return {};
}

Result<void> write_rope(FamilyWriter& out, const RopeFacts& rope) {
  const auto rotated = static_cast<std::uint32_t>(rope.rotated * out.head_dim);
  out.u32("rope.dimension_count", rotated);
  out.f32("rope.freq_base", rope.base);
  if (rope.type.empty()) return refuse_unread(rope, out.config, {});
  if (rope.type == "linear") {
    const ConfigReader scaling(rope.scaling, out.config.where());
    MINERVA_ASSIGN(const double factor, scaling.number("factor"));
    out.text("rope.scaling.type", "linear");
    out.f32("rope.scaling.factor", factor);
    return refuse_unread(rope, out.config, {"factor"});
  }
  if (rope.type == "llama3") {
    MINERVA_ASSIGN(std::vector<float> factors, llama3_factors(rope, out.config, rotated));
    out.tensor("rope_freqs.weight", std::move(factors));
    return refuse_unread(
        rope, out.config,
        {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"});
  }
  if (rope.type == "yarn") {
    MINERVA_TRY(write_yarn(out, rope));
    return refuse_unread(
        rope, out.config,
        {"factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor",
         "truncate", "mscale", "mscale_all_dim", "llama_4_scaling_beta"});
  }
  return fail(ErrorCode::Unsupported,
              fmt::format("{}: rope_scaling is of type \"{}\"; none, linear, llama3 and yarn are "
                          "supported here",
                          out.config.where(), rope.type),
              "rope_scaling");
}

Result<void> write_decoder(FamilyWriter& out) {
  MINERVA_TRY(write_decoder_keys(out));
  MINERVA_ASSIGN(const RopeFacts rope, read_rope_facts(out.config, 10'000));
  return write_rope(out, rope);
}

Result<void> write_number(FamilyWriter& out, std::string_view key, std::string_view to) {
  if (!out.config.has(key)) return {};
  MINERVA_ASSIGN(const double value, out.config.number(key));
  out.f32(to, value);
  return {};
}

Result<void> write_count(FamilyWriter& out, std::string_view key, std::string_view to) {
  if (!out.config.has(key)) return {};
  MINERVA_ASSIGN(const std::uint32_t value, out.config.count(key));
  out.u32(to, value);
  return {};
}

Result<void> check_window_layers(const FamilyWriter& out, std::uint32_t period) {
  MINERVA_ASSIGN(const auto types, out.config.texts("layer_types"));
  if (types.empty()) return {};
  bool usual = types.size() == out.layers;
  for (std::size_t i = 0; i < types.size(); ++i) {
    usual = usual && types[i] == ((i + 1) % period == 0 ? "full_attention" : "sliding_attention");
  }
  if (usual) return {};
  return out.config.refuse(
      "layer_types", fmt::format("must be {} layers of which every {}th sees all and the others a "
                                 "window, for this family to be run here",
                                 out.layers, period));
}

Result<void> must_be(const ConfigReader& config, std::string_view key, bool value) {
  MINERVA_ASSIGN(const bool given, config.flag_or(key, value));
  if (given == value) return {};
  return config.refuse(key, fmt::format("must be {} for this family to be run here", value));
}

Result<void> must_be_one_of(const ConfigReader& config, std::string_view key,
                            std::initializer_list<std::string_view> values) {
  MINERVA_ASSIGN(const std::string given, config.text_or(key, *values.begin()));
  if (std::ranges::find(values, given) != values.end()) return {};
  return config.refuse(
      key, fmt::format("must be {} for this family to be run here", fmt::join(values, " or ")));
}

}  // namespace minerva::models
