// The encoder against transformers' BertModel in float32 with sentence-transformers' pooling, on
// the tiny model of tests/data/encoder (tools/make_encoder_goldens.py), whose tensors get GGUF's
// names here.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/encoder.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "support/gguf_writer.h"

namespace minerva::engine {
namespace {

// Float32 sums in another order; the largest difference seen is 3e-7.
constexpr double kTolerance = 5e-6;

std::string data_path(const std::string& name) {
  return std::string(MINERVA_SOURCE_DIR) + "/tests/data/encoder/" + name;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

// "encoder.layer.1.output.dense.bias" is "blk.1.ffn_down.bias".
std::string gguf_name(std::string name) {
  static const std::pair<std::string, std::string> kNames[] = {
      {"embeddings.word_embeddings", "token_embd"},
      {"embeddings.position_embeddings", "position_embd"},
      {"embeddings.token_type_embeddings", "token_types"},
      {"embeddings.LayerNorm", "token_embd_norm"},
      {"attention.self.query", "attn_q"},
      {"attention.self.key", "attn_k"},
      {"attention.self.value", "attn_v"},
      {"attention.output.dense", "attn_output"},
      {"attention.output.LayerNorm", "attn_output_norm"},
      {"intermediate.dense", "ffn_up"},
      {"output.dense", "ffn_down"},
      {"output.LayerNorm", "layer_output_norm"},
      {"encoder.layer.", "blk."},
  };
  for (const auto& [from, to] : kNames) {
    if (const std::size_t at = name.find(from); at != std::string::npos) {
      name.replace(at, from.size(), to);
    }
  }
  return name;
}

std::vector<std::byte> tiny_gguf(std::uint32_t pooling, bool normalize) {
  const auto config = nlohmann::json::parse(read_file(data_path("tiny/config.json")));
  test::GgufWriter writer;
  writer.add_string("general.architecture", "bert");
  const auto count = [&](const char* key, const char* from) {
    writer.add_u32(std::string("bert.") + key, config.at(from).get<std::uint32_t>());
  };
  count("block_count", "num_hidden_layers");
  count("embedding_length", "hidden_size");
  count("feed_forward_length", "intermediate_size");
  count("attention.head_count", "num_attention_heads");
  count("context_length", "max_position_embeddings");
  writer.add_f32("bert.attention.layer_norm_epsilon", config.at("layer_norm_eps").get<float>());
  writer.add_u32("bert.pooling_type", pooling);
  writer.add_bool("bert.normalize_embeddings", normalize);
  const std::string file = read_file(data_path("tiny/model.safetensors"));
  const auto bytes = std::as_bytes(std::span(file));
  const auto header = formats::parse_safetensors(bytes);
  EXPECT_TRUE(header) << header.error().message;
  for (const formats::SafetensorsTensor& tensor : header->tensors) {
    EXPECT_EQ(tensor.dtype, "F16");
    const std::vector<std::uint64_t> dims(tensor.shape.rbegin(), tensor.shape.rend());
    const auto data = bytes.subspan(tensor.offset, tensor.bytes);
    writer.add_tensor(gguf_name(tensor.name), formats::DType::F16, dims,
                      {data.begin(), data.end()});
  }
  return writer.bytes();
}

TEST(EncoderReference, VectorsAreThoseOfTransformers) {
  const auto cases = nlohmann::json::parse(read_file(data_path("tiny_vectors.json")));
  ASSERT_GE(cases.size(), 5U);
  ComputePool pool(1);
  double worst = 0;
  for (const auto& [pooling, normalize] :
       {std::pair{1U, true}, std::pair{1U, false}, std::pair{2U, false}}) {
    const auto file = formats::GgufFile::parse(tiny_gguf(pooling, normalize));
    ASSERT_TRUE(file) << file.error().message;
    const auto model = EncoderModel::load(*file, Numerics::Exact, pool);
    ASSERT_TRUE(model) << model.error().message;
    Encoder encoder(*model, pool, kernels::best_kernels());
    for (const auto& one : cases) {
      const auto ids = one.at("ids").get<std::vector<TokenId>>();
      auto want = one.at(pooling == 2 ? "cls" : "vector").get<std::vector<double>>();
      const double length = normalize || pooling == 2 ? 1 : one.at("length").get<double>();
      std::vector<float> got(want.size());
      const std::span<const TokenId> text = ids;
      encoder.encode({&text, 1}, got.data());
      for (std::size_t i = 0; i < got.size(); ++i) {
        const double scale = std::max(1.0, std::abs(want[i] * length));
        worst = std::max(worst, std::abs(static_cast<double>(got[i]) - want[i] * length) / scale);
      }
    }
  }
  RecordProperty("worst", fmt::format("{}", worst));
  EXPECT_LT(worst, kTolerance);
}

}  // namespace
}  // namespace minerva::engine
