#include "support/tiny_delta.h"

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/rng.h"
#include "support/tiny_model.h"

namespace minerva::test {
namespace {

using formats::DType;

constexpr std::size_t kLayers = 4;
constexpr std::size_t kAttending = 1;
constexpr std::size_t kWidth = 64;
constexpr std::size_t kHeads = 4;
constexpr std::size_t kKvHeads = 2;
constexpr std::size_t kHeadDim = 32;
constexpr std::size_t kFfWidth = 96;
constexpr std::size_t kExperts = 5;
constexpr std::size_t kExpertWidth = 32;
constexpr std::size_t kTaps = 4;
constexpr std::size_t kKeyHeads = 2;
constexpr std::size_t kValueHeads = 6;
constexpr std::size_t kKeyDim = 16;
constexpr std::size_t kValueDim = 32;
constexpr std::size_t kKeys = kKeyHeads * kKeyDim;
constexpr std::size_t kValues = kValueHeads * kValueDim;

using Bytes = std::vector<std::byte>;

class Tensors {
 public:
  Tensors(GgufWriter& writer, DType type, std::string_view left_out)
      : writer_(writer), type_(type), left_out_(left_out) {}

  // Each has a seed of its own.
  Bytes weights(DType as, std::size_t rows, std::size_t cols) {
    return random_weights(as, rows * cols, 1.5 / std::sqrt(static_cast<double>(kWidth)), ++tensor_);
  }
  void add(const std::string& name, DType as, std::size_t rows, std::size_t cols,
           const Bytes& bytes, std::size_t count = 1) {
    const std::array<std::uint64_t, 3> dims = {cols, rows, count};
    if (wanted(name)) {
      writer_.add_tensor(name, as, std::span(dims).first(count == 1 ? 2 : 3), bytes);
    }
  }
  void matrix(const std::string& name, std::size_t rows, std::size_t cols, std::size_t count = 1) {
    add(name, type_, rows, cols, weights(type_, rows * count, cols), count);
  }
  void floats(const std::string& name, std::size_t rows, std::size_t cols) {
    add(name, DType::F32, rows, cols, weights(DType::F32, rows, cols));
  }
  void vector(const std::string& name, std::size_t n, double center) {
    std::vector<float> values(n);
    ++tensor_;
    for (std::size_t i = 0; i < n; ++i) {
      values[i] = static_cast<float>(center + uniform(tensor_, 0, i) - 0.5);
    }
    const std::array<std::uint64_t, 1> dims = {n};
    if (wanted(name)) writer_.add_f32_tensor(name, dims, values);
  }

 private:
  bool wanted(const std::string& name) const {
    return left_out_.empty() || !name.ends_with(left_out_);
  }
  GgufWriter& writer_;
  DType type_;
  std::string_view left_out_;
  std::uint64_t tensor_ = 0;
};

// Rows [begin, begin + count) of `bytes`.
void append_rows(Bytes& to, const Bytes& bytes, std::size_t row_bytes, std::size_t begin,
                 std::size_t count) {
  const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(begin * row_bytes);
  to.insert(to.end(), at, at + static_cast<std::ptrdiff_t>(count * row_bytes));
}

// Queries, keys and values, and the gates, as one matrix of each key head's.
Bytes mixed_by_head(const Bytes& mixed, const Bytes& gates) {
  const std::size_t row_bytes = gates.size() / kValues;
  const std::size_t own = kValues / kKeyHeads;
  Bytes all;
  for (std::size_t head = 0; head < kKeyHeads; ++head) {
    append_rows(all, mixed, row_bytes, head * kKeyDim, kKeyDim);
    append_rows(all, mixed, row_bytes, kKeys + head * kKeyDim, kKeyDim);
    append_rows(all, mixed, row_bytes, 2 * kKeys + head * own, own);
    append_rows(all, gates, row_bytes, head * own, own);
  }
  return all;
}

void add_delta(Tensors& tensors, const std::string& p, DType type, bool next, bool old_names) {
  const std::size_t mixed_rows = 2 * kKeys + kValues;
  const Bytes mixed = tensors.weights(type, mixed_rows, kWidth);
  const Bytes gates = tensors.weights(type, kValues, kWidth);
  if (old_names) {
    tensors.add(p + "ssm_in.weight", type, mixed_rows + kValues, kWidth,
                mixed_by_head(mixed, gates));
  } else {
    tensors.add(p + "attn_qkv.weight", type, mixed_rows, kWidth, mixed);
    tensors.add(p + "attn_gate.weight", type, kValues, kWidth, gates);
  }
  if (next) {
    tensors.matrix(p + "ssm_ba.weight", 2 * kValueHeads, kWidth);
  } else {
    tensors.matrix(p + "ssm_beta.weight", kValueHeads, kWidth);
    tensors.matrix(p + "ssm_alpha.weight", kValueHeads, kWidth);
  }
  tensors.floats(p + "ssm_conv1d.weight", mixed_rows, kTaps);
  tensors.vector(p + "ssm_a", kValueHeads, -0.6);
  tensors.vector(p + "ssm_dt.bias", kValueHeads, 0);
  tensors.vector(p + "ssm_norm.weight", kValueDim, 1);
  tensors.matrix(p + "ssm_out.weight", kWidth, kValues);
}

void add_feed_forward(Tensors& tensors, const std::string& p, bool experts) {
  if (!experts) {
    tensors.matrix(p + "ffn_gate.weight", kFfWidth, kWidth);
    tensors.matrix(p + "ffn_up.weight", kFfWidth, kWidth);
    tensors.matrix(p + "ffn_down.weight", kWidth, kFfWidth);
    return;
  }
  tensors.floats(p + "ffn_gate_inp.weight", kExperts, kWidth);
  tensors.matrix(p + "ffn_gate_exps.weight", kExpertWidth, kWidth, kExperts);
  tensors.matrix(p + "ffn_up_exps.weight", kExpertWidth, kWidth, kExperts);
  tensors.matrix(p + "ffn_down_exps.weight", kWidth, kExpertWidth, kExperts);
  tensors.vector(p + "ffn_gate_inp_shexp.weight", kWidth, 0);
  tensors.matrix(p + "ffn_gate_shexp.weight", kFfWidth, kWidth);
  tensors.matrix(p + "ffn_up_shexp.weight", kFfWidth, kWidth);
  tensors.matrix(p + "ffn_down_shexp.weight", kWidth, kFfWidth);
}

}  // namespace

GgufWriter tiny_delta(const TinyDelta& settings) {
  GgufWriter writer;
  const std::string_view architecture = settings.architecture;
  const std::string prefix = std::string(architecture) + ".";
  const bool next = architecture == "qwen3next";
  const bool experts = architecture != "qwen35";
  const auto u32 = [&](const char* key, std::size_t value) {
    writer.add_u32(prefix + key, static_cast<std::uint32_t>(value));
  };
  writer.add_string("general.architecture", architecture);
  u32("block_count", kLayers);
  u32("context_length", 4096);
  u32("embedding_length", kWidth);
  if (!experts) u32("feed_forward_length", kFfWidth);
  u32("attention.head_count", kHeads);
  u32("attention.head_count_kv", kKvHeads);
  u32("attention.key_length", kHeadDim);
  u32("attention.value_length", kHeadDim);
  u32("rope.dimension_count", kHeadDim / 4);
  u32("ssm.conv_kernel", kTaps);
  u32("ssm.state_size", kKeyDim);
  u32("ssm.group_count", kKeyHeads);
  u32("ssm.time_step_rank", kValueHeads);
  u32("ssm.inner_size", kValues);
  writer.add_bools(prefix + "attention.recurrent_layers", {true, !settings.attends, true, true});
  writer.add_f32(prefix + "attention.layer_norm_rms_epsilon", 1e-6F);
  if (!next) {
    writer.add_i32s(prefix + "rope.dimension_sections", std::vector<std::int32_t>{2, 1, 1, 0});
  }
  if (experts) {
    u32("expert_count", kExperts);
    u32("expert_used_count", 2);
    u32("expert_feed_forward_length", kExpertWidth);
    u32("expert_shared_feed_forward_length", kFfWidth);
  }

  Tensors tensors(writer, settings.type, settings.left_out);
  tensors.matrix("token_embd.weight", settings.vocabulary, kWidth);
  tensors.vector("output_norm.weight", kWidth, 1);
  for (std::size_t i = 0; i < kLayers; ++i) {
    const std::string p = "blk." + std::to_string(i) + ".";
    tensors.vector(p + "attn_norm.weight", kWidth, 1);
    tensors.vector(p + "post_attention_norm.weight", kWidth, 1);
    if (i == kAttending && settings.attends) {
      tensors.matrix(p + "attn_q.weight", 2 * kHeads * kHeadDim, kWidth);
      tensors.matrix(p + "attn_k.weight", kKvHeads * kHeadDim, kWidth);
      tensors.matrix(p + "attn_v.weight", kKvHeads * kHeadDim, kWidth);
      tensors.matrix(p + "attn_output.weight", kWidth, kHeads * kHeadDim);
      tensors.vector(p + "attn_q_norm.weight", kHeadDim, 1);
      tensors.vector(p + "attn_k_norm.weight", kHeadDim, 1);
    } else {
      add_delta(tensors, p, settings.type, next, settings.old_names);
    }
    add_feed_forward(tensors, p, experts);
  }
  return writer;
}

}  // namespace minerva::test
