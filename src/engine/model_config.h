// The shape of a model, read from its file's metadata and checked: after read_config() no number
// here can lead outside the weights. Each architecture fills it in a file of its own (arch_*.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "kernels/kernel_table.h"

namespace minerva::engine {

enum class Activation : std::uint8_t {
  Silu,
  GeluTanh,
  ReluSquared,
  ClampedSwiglu,  // gpt-oss's (kernel_table.h)
  Xielu,          // with factors of its own in each layer (kernel_table.h); without gate
};
enum class NormKind : std::uint8_t { Rms, Layer };

// Which values of q and k a norm before RoPE takes together.
enum class QkNorm : std::uint8_t {
  None,
  Head,      // each head's, with the same weights for all: [head_dim]
  EachHead,  // each head's, with weights of its own: [heads][head_dim]
  Whole,     // all heads' as one vector: [heads * head_dim]
};

// YaRN: pairs that turn often in the original context keep their frequency, those that turn less
// than once are interpolated by `factor`, the ones between are mixed.
struct YarnConfig {
  double factor = 1;
  double original_context = 0;
  double beta_fast = 32;    // turns in the original context from which a pair is kept
  double beta_slow = 1;     // turns below which it is interpolated in full
  bool whole_pairs = true;  // the ramp's ends are rounded outwards to whole pairs
};

// Rotary position embedding of a set of layers. The angle of pair i at position p is
//   p * frequency_scale * base^(-2i/n_rot) / factors[i]      (factors empty: 1)
// with yarn's mix of interpolated and kept frequencies, where there is one.
struct RopeConfig {
  double base = 10'000;
  double frequency_scale = 1;
  std::size_t n_rot = 0;  // values of a head that rotate; the rest pass through
  bool halves = false;    // pairs are (i, i + n_rot/2) rather than (2i, 2i+1)
  double magnitude = 1;   // multiplies every cosine and sine
  std::vector<float> factors = {};
  // longrope: the factors of contexts longer than original_context. A model has one context for as
  // long as it is loaded, and with it one set of factors for all positions.
  std::vector<float> long_factors = {};
  std::size_t original_context = 0;
  std::optional<YarnConfig> yarn = {};
};

inline constexpr std::size_t kNoRope = ~std::size_t{0};

struct LayerConfig {
  std::size_t window = 0;  // tokens an attention sees back, itself included; 0: all
  std::size_t rope = 0;    // index into ModelConfig::ropes, or kNoRope
  bool dense = false;      // its feed-forward is dense although the model has experts
  bool chunked = false;    // the window does not slide: it begins anew every so many tokens
  // Where layers differ; 0: the model's.
  std::size_t kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t ff_width = 0;
  // With n: a short convolution over n tokens stands in attention's place. What it reads of tokens
  // before is kept as one head's keys and values are, with a window of n.
  std::size_t convolution = 0;
  // A gated delta rule (DeltaConfig) stands in attention's place.
  bool delta = false;
  kernels::XieluFactors xielu = {};  // with Activation::Xielu
  // The layer whose keys and values it attends to, having none of its own.
  std::optional<std::size_t> shares_kv_of = {};
};

inline constexpr std::size_t kExpertsUsedMax = 64;

// How a router's logits become scores.
enum class Gate : std::uint8_t { Softmax, Sigmoid };

// Feed-forwards as experts, of which a router chooses a few for each token: those with the largest
// scores, which are their weights.
struct ExpertsConfig {
  std::size_t count = 0;            // 0: the model is dense
  std::size_t used = 0;             // by a token: 1 to min(count, kExpertsUsedMax)
  std::size_t ff_width = 0;         // of each
  std::size_t shared_ff_width = 0;  // of one that every token uses; 0: there is none
  bool shared_gate = false;         // of which a token takes as much as a router of its own says
  Gate gate = Gate::Softmax;
  // SparseMixer: the best expert, and the best of the others; each one's weight is a softmax over
  // those still to choose from that are nearer to it than by twice this share. 0: as said above.
  float mixer_share = 0;
  bool weights_input = false;     // weights multiply what the experts read, not what they give
  bool choice_bias = false;       // scores have a bias while experts are chosen, not as weights
  bool normalize_chosen = false;  // weights of the chosen add up to 1
  float weight_scale = 1;         // times their weights
  // They stand beside the dense feed-forward rather than in its place, with norms of their own
  // before and after, a norm before the router, and a factor on each expert's weight.
  bool beside_dense = false;
  // A token's experts come from groups_used of `groups` groups of neighbours: those whose
  // `group_best` best experts have the largest scores together.
  std::size_t groups = 1;
  std::size_t groups_used = 1;
  std::size_t group_best = 1;
};

// Attention through latents: a token's keys and values are linear in one latent vector, which is
// what the cache keeps, beside a rotated part that all heads' keys share. Each head's queries and
// values are taken to and from the latent instead. The model has one KV head then, whose dimension
// is rank + n_rot of the one rope.
struct LatentConfig {
  std::size_t rank = 0;        // 0: the model's attention is the usual one
  std::size_t query_rank = 0;  // of a latent that queries are made of; 0: there is none
  std::size_t plain = 0;       // values of a head's query that do not rotate
  std::size_t value_dim = 0;   // of each head's value
};
// Of the latents' norms, whatever the model's other norms have.
inline constexpr float kLatentEps = 1e-6F;

// Gated delta rules in some layers' place of attention: each of their value heads has a state, a
// matrix that a token's key and value change (kernel_table.h), instead of keys and values of past
// tokens. A convolution over the last `taps` tokens comes first; each key head serves
// value_heads / key_heads value heads.
struct DeltaConfig {
  std::size_t key_heads = 0;  // 0: the model has none
  std::size_t value_heads = 0;
  std::size_t key_dim = 0;
  std::size_t value_dim = 0;
  std::size_t taps = 0;
  // Key head k serves value heads k, k + key_heads and so on, rather than neighbours.
  bool spread = false;

  // Values of a token that the convolution sees: all heads' queries, keys and values.
  std::size_t mixed() const { return 2 * key_heads * key_dim + value_heads * value_dim; }
  std::size_t key_head_of(std::size_t value_head) const {
    return spread ? value_head % key_heads : value_head / (value_heads / key_heads);
  }
  // Of one layer: mixed values of the last taps - 1 tokens, then each value head's matrix.
  std::size_t state_floats() const {
    return (taps - 1) * mixed() + value_heads * key_dim * value_dim;
  }
};
inline constexpr std::size_t kTapsMax = 16;
// Of the norms of its queries and keys, which are by the sum of squares.
inline constexpr float kDeltaEps = 1e-6F;

// A decoder, put together from traits: x is the residual stream, A attention, F the feed-forward, n
// the norms that the flags ask for (else nothing).
//   x += residual_scale * n_post(A(n_pre(x)));  x += residual_scale * n_post(F(n_pre(x)))
//   parallel:  x += residual_scale * A(n_pre(x)) + residual_scale * F(the same n_pre(x))
// Biases belong to the weights: a matrix has one where the file has one (model.h).
struct ModelConfig {
  std::string architecture;
  std::string name;
  std::size_t width = 0;  // of the residual stream
  std::size_t heads = 0;
  std::size_t kv_heads = 0;  // where layers differ, the largest; so with the next two
  std::size_t head_dim = 0;
  std::size_t ff_width = 0;  // 0 where no layer is dense
  std::size_t vocabulary = 0;
  std::size_t trained_context = 0;
  NormKind norm = NormKind::Rms;
  float norm_eps = 1e-5F;
  bool pre_norms = true;    // of both branches' input
  bool post_norms = false;  // of both branches' output
  bool parallel = false;
  QkNorm qk_norm = QkNorm::None;
  bool qk_norm_after_rope = false;
  bool qk_norm_plain = false;  // norms of heads have no weights, and layers without RoPE no norms
  bool value_norm = false;     // of each head's v, without weights
  float attention_scale = 1;
  float attention_softcap = 0;  // 0: none
  LatentConfig latent;
  DeltaConfig delta;
  // Behind each head's query in attn_q's rows there are as many of a gate, whose sigmoid multiplies
  // what the head takes.
  bool attention_gate = false;
  bool attention_sinks = false;  // each head has a logit more, whose value is zero
  // Position p's q is multiplied by 1 + scale * ln(1 + floor((p + offset) / length)).
  float temperature_scale = 0;
  std::size_t temperature_length = 0;  // 0: none
  std::size_t temperature_offset = 0;
  bool temperature_without_rope = false;  // only in layers without RoPE
  bool gated = true;                      // activation(gate) * up, else activation(up)
  Activation activation = Activation::Silu;
  ExpertsConfig experts;
  std::string_view ff_norm_name = "ffn_norm";  // the feed-forward's pre-norm in the file
  std::string_view output_norm_name = "output_norm";
  // With these each layer ends in x += post(P(gelu(G(x)) * e)), where a token's e of the layer is
  // of so many values, made of its embedding and of a second table.
  std::size_t layer_input_width = 0;  // 0: none
  bool layer_scales = false;          // each layer's x is multiplied by a number at its end
  float embedding_scale = 1;
  float residual_scale = 1;
  float logit_scale = 1;
  float logit_softcap = 0;  // 0: none
  std::vector<RopeConfig> ropes;
  std::vector<LayerConfig> layers;
  // Layers behind these in the file, which only guess at tokens further on: they are not read.
  std::size_t draft_layers = 0;
  // Tensors that every layer must have although the graph could do without: biases, mostly.
  std::vector<std::string_view> required;
};

// Of a layer.
inline std::size_t kv_heads_of(const ModelConfig& config, std::size_t layer) {
  const std::size_t own = config.layers[layer].kv_heads;
  return own != 0 ? own : config.kv_heads;
}
inline std::size_t head_dim_of(const ModelConfig& config, std::size_t layer) {
  const std::size_t own = config.layers[layer].head_dim;
  return own != 0 ? own : config.head_dim;
}
inline std::size_t ff_width_of(const ModelConfig& config, std::size_t layer) {
  const std::size_t own = config.layers[layer].ff_width;
  return own != 0 ? own : config.ff_width;
}
// kv_heads * head_dim of the layer that has most.
std::size_t widest_kv(const ModelConfig& config);
bool has_convolutions(const ModelConfig& config);
// Of what attention, or what stands in its place, gives for a token in the widest layer.
std::size_t attended_width(const ModelConfig& config);

Result<ModelConfig> read_config(const formats::GgufFile& file);

// Architectures that the engine runs.
std::span<const std::string_view> supported_architectures();

// --- for arch_*.cc ---
inline constexpr std::uint64_t kContextMax = std::uint64_t{1} << 32;
// What every decoder's metadata says: counts, widths, epsilon, scales, one rope, full attention
// everywhere.
Result<ModelConfig> read_common(const formats::GgufFile& file, std::string_view architecture,
                                NormKind norm = NormKind::Rms);
// The part of it without heads: they are not all alike.
Result<ModelConfig> read_base(const formats::GgufFile& file, std::string_view architecture,
                              NormKind norm = NormKind::Rms);
// A count from 1 to max, or `otherwise` where the key is missing.
Result<std::size_t> read_count(const formats::GgufFile& file, const std::string& key,
                               std::uint64_t max, std::size_t otherwise);
// One count from 1 to max for each of `layers` layers, or the same for all.
Result<std::vector<std::size_t>> read_counts(const formats::GgufFile& file, const std::string& key,
                                             std::uint64_t max, std::size_t layers);
// A number over 0 of a sane size, or `otherwise` where the key is missing.
Result<double> read_positive(const formats::GgufFile& file, const std::string& key,
                             double otherwise);
// PREFIX.attention.sliding_window; 0 where it is missing or 0.
Result<std::size_t> read_window(const formats::GgufFile& file, const std::string& prefix);
// The file's window in all layers but every `pattern`-th (the key sliding_window_pattern may say
// another one, or of each layer whether it has a window), which see all. A window that is missing
// is an error.
Result<void> set_windows(const formats::GgufFile& file, std::size_t pattern, ModelConfig& config);
// The rope of PREFIX's keys and of the factor tensors (rope_config.cc).
Result<RopeConfig> read_rope(const formats::GgufFile& file, const std::string& prefix,
                             std::size_t head_dim);
// What an architecture's routers are, or may be where the file chooses.
struct RouterTraits {
  bool normalize_chosen = true;  // where the file says nothing
  Gate gate = Gate::Softmax;     // the same
  bool either_gate = false;      // the file may say the other one
  bool groups = false;           // the file may have groups
};
// What PREFIX's keys say of experts (expert_config.cc).
Result<bool> has_experts(const formats::GgufFile& file, const std::string& prefix);
Result<ExpertsConfig> read_experts(const formats::GgufFile& file, const std::string& prefix,
                                   const RouterTraits& traits);
// The width of the shared expert: as such, or as that of so many of the others. Missing: there is
// none, unless it `must_be`.
Result<void> read_shared_expert(const formats::GgufFile& file, const std::string& prefix,
                                bool must_be, ExpertsConfig& config);
// Marks the dense layers: the first ones, as many as the file says.
Result<void> read_dense_layers(const formats::GgufFile& file, ModelConfig& config);
// Takes the file's last layers off, as many as it says are for guessing at further tokens.
Result<void> read_draft_layers(const formats::GgufFile& file, ModelConfig& config);
// Attention through latents: PREFIX's keys of ranks and dimensions, its rope, one KV head
// (arch_deepseek2.cc). `value_dim`: of each head's value where the file does not say; 0: it must.
Result<void> read_latent(const formats::GgufFile& file, const std::string& prefix,
                         std::size_t value_dim, ModelConfig& config);
// Whether this layer has this tensor: some traits are not in the metadata.
bool has_layer_tensor(const formats::GgufFile& file, std::string_view name, std::size_t layer = 0);

Result<ModelConfig> read_llama(const formats::GgufFile& file);
Result<ModelConfig> read_mistral3(const formats::GgufFile& file);
Result<ModelConfig> read_qwen2(const formats::GgufFile& file);
Result<ModelConfig> read_qwen3(const formats::GgufFile& file);
Result<ModelConfig> read_qwen2moe(const formats::GgufFile& file);
Result<ModelConfig> read_qwen3moe(const formats::GgufFile& file);
Result<ModelConfig> read_gpt_oss(const formats::GgufFile& file);
Result<ModelConfig> read_gemma2(const formats::GgufFile& file);
Result<ModelConfig> read_gemma3(const formats::GgufFile& file);
Result<ModelConfig> read_phi3(const formats::GgufFile& file);
Result<ModelConfig> read_granite(const formats::GgufFile& file);
Result<ModelConfig> read_command_r(const formats::GgufFile& file);
Result<ModelConfig> read_cohere2(const formats::GgufFile& file);
Result<ModelConfig> read_olmo2(const formats::GgufFile& file);
Result<ModelConfig> read_smollm3(const formats::GgufFile& file);
Result<ModelConfig> read_stablelm(const formats::GgufFile& file);
Result<ModelConfig> read_starcoder2(const formats::GgufFile& file);
Result<ModelConfig> read_glm4(const formats::GgufFile& file);
Result<ModelConfig> read_qwen2vl(const formats::GgufFile& file);
Result<ModelConfig> read_qwen3vl(const formats::GgufFile& file);
Result<ModelConfig> read_qwen3vlmoe(const formats::GgufFile& file);
Result<ModelConfig> read_gemma4(const formats::GgufFile& file);
Result<ModelConfig> read_gemma(const formats::GgufFile& file);
Result<ModelConfig> read_seed_oss(const formats::GgufFile& file);
Result<ModelConfig> read_arcee(const formats::GgufFile& file);
Result<ModelConfig> read_nemotron(const formats::GgufFile& file);
Result<ModelConfig> read_exaone4(const formats::GgufFile& file);
Result<ModelConfig> read_hunyuan_dense(const formats::GgufFile& file);
Result<ModelConfig> read_hunyuan_moe(const formats::GgufFile& file);
Result<ModelConfig> read_ernie4_5(const formats::GgufFile& file);
Result<ModelConfig> read_ernie4_5_moe(const formats::GgufFile& file);
Result<ModelConfig> read_olmoe(const formats::GgufFile& file);
Result<ModelConfig> read_granitemoe(const formats::GgufFile& file);
Result<ModelConfig> read_glm4moe(const formats::GgufFile& file);
Result<ModelConfig> read_deepseek2(const formats::GgufFile& file);
Result<ModelConfig> read_lfm2(const formats::GgufFile& file);
Result<ModelConfig> read_lfm2moe(const formats::GgufFile& file);
Result<ModelConfig> read_qwen3next(const formats::GgufFile& file);
Result<ModelConfig> read_qwen35(const formats::GgufFile& file);
Result<ModelConfig> read_qwen35moe(const formats::GgufFile& file);
Result<ModelConfig> read_dots1(const formats::GgufFile& file);
Result<ModelConfig> read_phimoe(const formats::GgufFile& file);
Result<ModelConfig> read_minimax_m2(const formats::GgufFile& file);
Result<ModelConfig> read_apertus(const formats::GgufFile& file);
Result<ModelConfig> read_llama4(const formats::GgufFile& file);
Result<ModelConfig> read_exaone(const formats::GgufFile& file);
Result<ModelConfig> read_internlm2(const formats::GgufFile& file);
Result<ModelConfig> read_minicpm(const formats::GgufFile& file);
Result<ModelConfig> read_minicpm3(const formats::GgufFile& file);
Result<ModelConfig> read_bailingmoe2(const formats::GgufFile& file);

}  // namespace minerva::engine
