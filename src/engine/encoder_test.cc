// The encoder against its equations written plainly in double, and the promise of docs/numerics.md:
// a text's vector depends on its own tokens alone, to the bit.
#include "engine/encoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "formats/dequantize.h"
#include "formats/gguf.h"
#include "support/tiny_encoder.h"

namespace minerva::engine {
namespace {

using formats::DType;
using formats::GgufFile;
using Doubles = std::vector<double>;
using Vectors = std::vector<std::vector<float>>;
using Texts = std::vector<std::vector<TokenId>>;

Texts texts_of(std::vector<std::size_t> sizes, unsigned seed) {
  std::mt19937 random(seed);
  Texts texts;
  for (const std::size_t size : sizes) {
    std::vector<TokenId>& text = texts.emplace_back(size);
    for (TokenId& id : text) id = static_cast<TokenId>(random() % test::kTinyEncoderVocabulary);
  }
  return texts;
}

std::shared_ptr<const GgufFile> file_of(const test::TinyEncoder& settings) {
  auto file = GgufFile::parse(test::tiny_encoder(settings).bytes());
  EXPECT_TRUE(file.has_value()) << file.error().message;
  return *file;
}

struct Rig {
  explicit Rig(const test::TinyEncoder& settings, Numerics numerics = Numerics::Exact,
               unsigned threads = 1, const kernels::KernelTable& kernels = kernels::best_kernels())
      : pool(threads) {
    auto model = EncoderModel::load(file_of(settings), numerics, pool);
    EXPECT_TRUE(model.has_value()) << model.error().message;
    encoder = std::make_unique<Encoder>(*model, pool, kernels);
  }
  Vectors run(const Texts& texts) {
    const std::size_t width = encoder->config().width;
    std::vector<std::span<const TokenId>> views(texts.begin(), texts.end());
    std::vector<float> out(texts.size() * width, NAN);
    encoder->encode(views, out.data());
    Vectors vectors;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      vectors.emplace_back(out.begin() + static_cast<std::ptrdiff_t>(i * width),
                           out.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
    }
    return vectors;
  }

  ComputePool pool;
  std::unique_ptr<Encoder> encoder;
};

void expect_same(const Vectors& a, const Vectors& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (const float value : a[i]) ASSERT_TRUE(std::isfinite(value)) << what << ", text " << i;
    ASSERT_EQ(std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)), 0)
        << what << ": text " << i << " differs";
  }
}

// --- the equations ---

Doubles values_of(const GgufFile& file, const std::string& name) {
  const formats::GgufTensor* tensor = file.find_tensor(name);
  EXPECT_NE(tensor, nullptr) << name;
  std::vector<float> values(tensor->elements());
  formats::dequantize(tensor->type, tensor->data.data(), values.data(), values.size());
  return {values.begin(), values.end()};
}

struct Plain {
  const GgufFile& file;
  const test::TinyEncoder& s;

  Doubles linear(const Doubles& x, const std::string& name) const {
    const Doubles w = values_of(file, name + ".weight");
    Doubles out = values_of(file, name + ".bias");
    for (std::size_t r = 0; r < out.size(); ++r) {
      for (std::size_t c = 0; c < x.size(); ++c) out[r] += w[r * x.size() + c] * x[c];
    }
    return out;
  }
  Doubles norm(Doubles x, const std::string& name) const {
    const Doubles weight = values_of(file, name + ".weight");
    const Doubles bias = values_of(file, name + ".bias");
    const auto n = static_cast<double>(x.size());
    const double mean = std::accumulate(x.begin(), x.end(), 0.0) / n;
    double variance = 0;
    for (const double v : x) variance += (v - mean) * (v - mean) / n;
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = (x[i] - mean) / std::sqrt(variance + 1e-6) * weight[i] + bias[i];
    }
    return x;
  }
  // Attention of token t over all tokens.
  Doubles attend(std::size_t t, const std::vector<Doubles>& q, const std::vector<Doubles>& k,
                 const std::vector<Doubles>& v) const {
    const std::size_t dim = s.width / s.heads;
    Doubles out(s.width);
    for (std::size_t head = 0; head < s.heads; ++head) {
      Doubles p(k.size());
      for (std::size_t u = 0; u < k.size(); ++u) {
        for (std::size_t d = head * dim; d < (head + 1) * dim; ++d) p[u] += q[t][d] * k[u][d];
        p[u] = std::exp(p[u] / std::sqrt(static_cast<double>(dim)));
      }
      const double sum = std::accumulate(p.begin(), p.end(), 0.0);
      for (std::size_t u = 0; u < k.size(); ++u) {
        for (std::size_t d = head * dim; d < (head + 1) * dim; ++d) out[d] += p[u] / sum * v[u][d];
      }
    }
    return out;
  }
  static Doubles sum(Doubles a, const Doubles& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  }

  std::vector<Doubles> hidden(const std::vector<TokenId>& text) const {
    const Doubles tokens = values_of(file, "token_embd.weight");
    const Doubles positions = values_of(file, "position_embd.weight");
    const Doubles types = values_of(file, "token_types.weight");
    std::vector<Doubles> x;
    for (std::size_t t = 0; t < text.size(); ++t) {
      Doubles row(s.width);
      for (std::size_t i = 0; i < s.width; ++i) {
        row[i] = tokens[static_cast<std::size_t>(text[t]) * s.width + i] + types[i] +
                 positions[t * s.width + i];
      }
      x.push_back(norm(row, "token_embd_norm"));
    }
    for (std::size_t layer = 0; layer < s.layers; ++layer) {
      const std::string p = "blk." + std::to_string(layer) + ".";
      std::vector<Doubles> q, k, v;
      for (const Doubles& row : x) {
        q.push_back(linear(row, p + "attn_q"));
        k.push_back(linear(row, p + "attn_k"));
        v.push_back(linear(row, p + "attn_v"));
      }
      for (std::size_t t = 0; t < x.size(); ++t) {
        x[t] =
            norm(sum(x[t], linear(attend(t, q, k, v), p + "attn_output")), p + "attn_output_norm");
        Doubles up = linear(x[t], p + "ffn_up");
        for (double& g : up) g *= 0.5 * std::erfc(-g / std::sqrt(2.0));
        x[t] = norm(sum(x[t], linear(up, p + "ffn_down")), p + "layer_output_norm");
      }
    }
    return x;
  }

  Doubles vector(const std::vector<TokenId>& text) const {
    const std::vector<Doubles> x = hidden(text);
    Doubles out(s.width);
    if (s.pooling == 1) {
      for (const Doubles& row : x) out = sum(out, row);
      for (double& value : out) value /= static_cast<double>(x.size());
    } else {
      out = s.pooling == 2 ? x.front() : x.back();
    }
    double squares = 0;
    for (const double value : out) squares += value * value;
    for (double& value : out) value /= s.normalize ? std::sqrt(squares) : 1;
    return out;
  }
};

void expect_near(const std::vector<float>& got, const Doubles& want, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(got[i]), want[i], tolerance) << what << " at " << i;
  }
}

TEST(Encoder, ComputesTheEquations) {
  for (const std::size_t heads : {std::size_t{4}, std::size_t{16}}) {  // heads of 16 and of 4
    for (const std::uint32_t pooling : {1U, 2U, 3U}) {
      test::TinyEncoder settings;
      settings.heads = heads;
      settings.pooling = pooling;
      settings.normalize = pooling != 2;
      Rig rig(settings);
      const auto file = file_of(settings);
      const Plain plain{*file, settings};
      const Texts texts = texts_of({1, 17, 40}, pooling);
      const Vectors vectors = rig.run(texts);
      for (std::size_t i = 0; i < texts.size(); ++i) {
        expect_near(vectors[i], plain.vector(texts[i]), settings.normalize ? 2e-6 : 3e-5,
                    "pooling " + std::to_string(pooling) + ", text " + std::to_string(i));
      }
    }
  }
}

TEST(Encoder, WhatIsQuantisedIsNearItsOwnWeights) {
  // int8 activations cost a percent; the F32 mode of the same file costs nothing.
  for (const auto& [type, tolerance] :
       {std::pair{DType::F16, 2e-6}, std::pair{DType::Q8_0, 1e-2}}) {
    test::TinyEncoder settings;
    settings.type = type;
    const auto file = file_of(settings);
    const Plain plain{*file, settings};
    const Texts texts = texts_of({23}, 5);
    expect_near(Rig(settings).run(texts)[0], plain.vector(texts[0]), tolerance, "exact");
    expect_near(Rig(settings, Numerics::F32).run(texts)[0], plain.vector(texts[0]), 2e-6, "f32");
  }
}

TEST(Encoder, ATextIsTheSameAloneAndAmongOthers) {
  for (const DType type : {DType::F32, DType::BF16, DType::Q8_0, DType::Q4_K}) {
    test::TinyEncoder settings;
    settings.type = type;
    if (type == DType::Q4_K) settings.width = settings.ff_width = 256;  // its block
    const Texts texts = texts_of({5, 64, 1, 33, 2}, 3);
    Rig rig(settings);
    Vectors alone;
    for (const auto& text : texts) alone.push_back(rig.run({text})[0]);
    expect_same(alone, rig.run(texts), "together");
    Texts turned(texts.rbegin(), texts.rend());
    Vectors back = rig.run(turned);
    std::reverse(back.begin(), back.end());
    expect_same(alone, back, "in another order");
    for (const unsigned threads : {2U, 3U}) {
      expect_same(alone, Rig(settings, Numerics::Exact, threads).run(texts),
                  std::to_string(threads) + " threads");
    }
    for (const auto isa : {kernels::Isa::Scalar, kernels::Isa::Avx2, kernels::Isa::Avx512}) {
      const kernels::KernelTable* table = kernels::find_kernels(isa);
      if (table == nullptr || type == DType::BF16) continue;
      expect_same(alone, Rig(settings, Numerics::Exact, 1, *table).run(texts),
                  std::string(table->name));
    }
  }
}

// --- what is refused ---

Result<std::shared_ptr<const EncoderModel>> load(test::GgufWriter writer) {
  ComputePool pool(1);
  const auto file = GgufFile::parse(writer.bytes());
  EXPECT_TRUE(file.has_value()) << file.error().message;
  return EncoderModel::load(*file, Numerics::Exact, pool);
}

void expect_refused(test::GgufWriter writer, ErrorCode code, const std::string& word) {
  const auto loaded = load(std::move(writer));
  ASSERT_FALSE(loaded.has_value()) << word;
  EXPECT_EQ(loaded.error().code, code) << loaded.error().message;
  EXPECT_NE(loaded.error().message.find(word), std::string::npos) << loaded.error().message;
}

TEST(Encoder, RefusesWhatItWouldGetWrong) {
  const auto changed = [](auto change) {
    test::GgufWriter writer = test::tiny_encoder({});
    change(writer);
    return writer;
  };
  using W = test::GgufWriter;
  expect_refused(changed([](W& w) {
                   w.remove("bert.attention.causal").add_bool("bert.attention.causal", true);
                 }),
                 ErrorCode::Unsupported, "bert.attention.causal is true");
  expect_refused(
      changed([](W& w) { w.remove("bert.pooling_type").add_u32("bert.pooling_type", 4); }),
      ErrorCode::Unsupported, "ranks");
  expect_refused(
      changed([](W& w) { w.remove("bert.pooling_type").add_u32("bert.pooling_type", 9); }),
      ErrorCode::Unsupported, "is 9");
  expect_refused(
      changed([](W& w) { w.remove("bert.context_length").add_u32("bert.context_length", 65); }),
      ErrorCode::InvalidModel, "65");
  expect_refused(changed([](W& w) {
                   w.remove("bert.attention.head_count").add_u32("bert.attention.head_count", 5);
                 }),
                 ErrorCode::InvalidModel, "64, not a multiple of attention.head_count, 5");
  expect_refused(changed([](W& w) {
                   w.remove("bert.feed_forward_length").add_u32("bert.feed_forward_length", 97);
                 }),
                 ErrorCode::InvalidModel, "97");
  expect_refused(changed([](W& w) {
                   w.remove("bert.attention.layer_norm_epsilon")
                       .add_f32("bert.attention.layer_norm_epsilon", NAN);
                 }),
                 ErrorCode::InvalidModel, "layer_norm_epsilon");
  expect_refused(changed([](W& w) { w.remove("bert.block_count").add_u32("bert.block_count", 3); }),
                 ErrorCode::InvalidModel, "blk.2.attn_q.weight");
  expect_refused(changed([](W& w) {
                   const std::uint64_t dims[] = {64};
                   w.add_f32_tensor("cls.weight", dims, std::vector<float>(64));
                 }),
                 ErrorCode::Unsupported, "cls.weight");
}

TEST(Encoder, SaysItsMemoryBefore) {
  test::TinyEncoder settings;
  settings.type = DType::Q8_0;
  const auto file = file_of(settings);
  ComputePool pool(1);
  const auto model = EncoderModel::load(file, Numerics::Exact, pool).value();
  EXPECT_EQ(model->weight_bytes(), EncoderModel::packed_bytes(*file, Numerics::Exact));
  EXPECT_GT(model->weight_bytes(), 0U);
}

}  // namespace
}  // namespace minerva::engine
