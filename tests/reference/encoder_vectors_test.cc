// The encoder against transformers' BertModel in float32 with sentence-transformers' pooling, on
// the tiny folder of tests/data/encoder (tools/make_encoder_goldens.py): the reading of the folder
// and the graph can be what differs, and nothing else.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/encoder.h"
#include "models/folder_model.h"
#include "support/gguf_writer.h"

namespace minerva::engine {
namespace {

namespace fs = std::filesystem;

// Float32 sums in another order; the largest difference seen is 3e-7.
constexpr double kTolerance = 5e-6;

const fs::path kData = fs::path(MINERVA_SOURCE_DIR) / "tests" / "data" / "encoder";

struct Vectors {
  const char* modules;  // modules.json
  const char* pooling;  // 1_Pooling/config.json
  bool cls = false;
  bool normalized = true;
};
constexpr const char* kPooled = R"([{"path":"","type":"sentence_transformers.models.Transformer"},
    {"path":"1_Pooling","type":"sentence_transformers.models.Pooling"}])";
constexpr const char* kNormalized = R"([{"path":"","type":"a.Transformer"},
    {"path":"1_Pooling","type":"a.Pooling"},{"path":"2_Normalize","type":"a.Normalize"}])";

std::shared_ptr<const EncoderModel> load(const Vectors& wanted, ComputePool& pool) {
  const test::TempFolder temporary;
  const fs::path folder = temporary.path() / "tiny";
  fs::copy(kData / "tiny", folder, fs::copy_options::recursive);
  std::ofstream(folder / "modules.json") << wanted.modules;
  std::ofstream(folder / "1_Pooling" / "config.json") << wanted.pooling;
  const auto file = models::open_model_folder(folder.string());
  EXPECT_TRUE(file) << file.error().message;
  if (!file) return nullptr;
  const auto model = EncoderModel::load(*file, Numerics::Exact, pool);
  EXPECT_TRUE(model) << model.error().message;
  return model ? *model : nullptr;
}

TEST(EncoderVectors, AreThoseOfTransformers) {
  std::ifstream in(kData / "tiny_vectors.json");
  const auto cases = nlohmann::json::parse(in);
  ASSERT_GE(cases.size(), 5U);
  ComputePool pool(1);
  double worst = 0;
  for (const Vectors& wanted :
       {Vectors{kNormalized, R"({"pooling_mode_mean_tokens":true})"},
        Vectors{kPooled, R"({"pooling_mode":"mean"})", false, false},
        Vectors{kPooled, R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false})",
                true, false}}) {
    const auto model = load(wanted, pool);
    ASSERT_NE(model, nullptr);
    Encoder encoder(model, pool, kernels::best_kernels());
    for (const auto& one : cases) {
      const auto ids = one.at("ids").get<std::vector<TokenId>>();
      const auto want = one.at(wanted.cls ? "cls" : "vector").get<std::vector<double>>();
      const bool as_it_is = wanted.normalized || wanted.cls;
      const double length = as_it_is ? 1 : one.at("length").get<double>();
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
