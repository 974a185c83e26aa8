// Model folders with weights for the tests of this room: a small GGUF model laid out as Hugging
// Face does, by code of its own.
#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "formats/gguf.h"
#include "models/test_files.h"
#include "support/safetensors_writer.h"
#include "support/tiny_model.h"

namespace minerva::models {

inline constexpr std::string_view kTinyTokenizer =
    R"({"added_tokens":[],"model":{"type":"BPE","vocab":{"a":0},"merges":[]},)"
    R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},)"
    R"("decoder":{"type":"ByteLevel"}})";

// The llama of tests/support/tiny_model.h, and its configuration as transformers writes it.
inline test::TinyModel tiny_llama() {
  test::TinyModel model;
  model.width = 64;
  model.heads = 4;
  model.kv_heads = 2;
  model.head_dim = 32;  // not the width's share of a head
  model.ff_width = 96;
  model.tied = false;
  return model;
}

inline std::string tiny_llama_config(std::string_view more = "") {
  return fmt::format(
      R"({{"model_type":"llama","hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,)"
      R"("num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"rms_norm_eps":1e-05,)"
      R"("max_position_embeddings":2048,"rope_theta":10000.0,"hidden_act":"silu",)"
      R"("tie_word_embeddings":false{}}})",
      more);
}

// A GGUF tensor of F32 as the folder has it. Queries and keys get their rotary pairs back as halves
// of a head: new row h, j, i is old row h, i, j.
inline test::SafetensorsEntry folder_tensor(const formats::GgufTensor& tensor,
                                            const std::string& name, std::size_t head_dim) {
  test::SafetensorsEntry out{name, "F32", {}, {tensor.data.begin(), tensor.data.end()}};
  for (std::uint32_t d = tensor.n_dims; d-- > 0;) out.shape.push_back(tensor.dims[d]);
  if (head_dim == 0) return out;
  const std::size_t row = tensor.dims[0] * 4;
  for (std::size_t h = 0; h < tensor.dims[1] / head_dim; ++h) {
    for (std::size_t j = 0; j < 2; ++j) {
      for (std::size_t i = 0; i < head_dim / 2; ++i) {
        std::memcpy(out.data.data() + (h * head_dim + j * head_dim / 2 + i) * row,
                    tensor.data.data() + (h * head_dim + 2 * i + j) * row, row);
      }
    }
  }
  return out;
}

inline std::vector<test::SafetensorsEntry> folder_tensors(const formats::GgufFile& file,
                                                          std::size_t head_dim) {
  static const std::pair<const char*, const char*> kNames[] = {
      {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"},
      {"attn_q", "self_attn.q_proj"},   {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"},   {"attn_output", "self_attn.o_proj"},
      {"ffn_gate", "mlp.gate_proj"},    {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"}};
  std::vector<test::SafetensorsEntry> out;
  for (const formats::GgufTensor& tensor : file.tensors()) {
    std::string name;
    if (tensor.name == "token_embd.weight") name = "model.embed_tokens.weight";
    if (tensor.name == "output_norm.weight") name = "model.norm.weight";
    if (tensor.name == "output.weight") name = "lm_head.weight";
    bool rotary = false;
    for (int layer = 0; layer < 2; ++layer) {
      for (const auto& [gguf, folder] : kNames) {
        if (tensor.name != fmt::format("blk.{}.{}.weight", layer, gguf)) continue;
        name = fmt::format("model.layers.{}.{}.weight", layer, folder);
        rotary = std::string_view(gguf) == "attn_q" || std::string_view(gguf) == "attn_k";
      }
    }
    out.push_back(folder_tensor(tensor, name, rotary ? head_dim : 0));
  }
  return out;
}

}  // namespace minerva::models
