// Folders of which only a part is weights as they are: models that see, and 8-bit floats.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "formats/dequantize.h"
#include "formats/float8.h"
#include "formats/half.h"
#include "models/folder_model.h"
#include "models/inspect.h"
#include "models/test_folders.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using formats::GgufFile;
using formats::GgufTensor;
using testing::HasSubstr;

class FolderKinds : public testing::Test {
 protected:
  FolderKinds() : original_(GgufFile::parse(test::tiny_model(tiny_llama()).bytes()).value()) {
    tensors_ = folder_tensors(*original_, 32);
  }
  Result<std::shared_ptr<const GgufFile>> open(std::string_view config) {
    write_text(path_ / "config.json", config);
    write_bytes(path_ / "model.safetensors", test::safetensors_file(tensors_));
    return open_model_folder(path_.string());
  }
  std::string refusal(std::string_view config) {
    const auto opened = open(config);
    return opened ? "it was opened" : opened.error().message;
  }

  test::TempFolder temporary_;
  fs::path path_ = temporary_.path() / "tiny";
  std::shared_ptr<const GgufFile> original_;
  std::vector<test::SafetensorsEntry> tensors_;
};

// The names that Mistral Small 3.1 and Gemma 3 have, as they were published and as transformers 5
// writes them.
TEST_F(FolderKinds, OfAModelThatSeesTheTextPartIsRead) {
  const std::vector<test::SafetensorsEntry> plain = tensors_;
  const std::string config = fmt::format(
      R"({{"model_type":"mistral3","text_config":{},"vision_config":{{"hidden_size":8}},)"
      R"("tie_word_embeddings":false}})",
      tiny_llama_config());
  for (const bool newer : {false, true}) {
    SCOPED_TRACE(newer);
    tensors_ = plain;
    for (test::SafetensorsEntry& tensor : tensors_) {
      if (!newer) tensor.name = "language_model." + tensor.name;
      if (newer && tensor.name.starts_with("model."))
        tensor.name = "model.language_model." + tensor.name.substr(6);
    }
    const std::string outer = newer ? "model." : "";
    for (const char* name : {"vision_tower.patch_conv.weight", "multi_modal_projector.norm.weight"})
      tensors_.push_back({outer + name, "BF16", {4}, std::vector<std::byte>(8)});
    const auto made = open(config);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ((*made)->get_string("general.architecture").value(), "llama");
    ASSERT_EQ((*made)->tensors().size(), original_->tensors().size());
    for (const GgufTensor& wanted : original_->tensors()) {
      const GgufTensor* got = (*made)->find_tensor(wanted.name);
      ASSERT_NE(got, nullptr) << wanted.name;
      const auto bytes = formats::read_tensor(*got).value();
      EXPECT_TRUE(std::ranges::equal(bytes.bytes, wanted.data)) << wanted.name;
    }
    // To see is another engine's: the entry says so, and the router asks it of the engines.
    const ModelEntry entry = inspect_path(path_.string(), {});
    EXPECT_TRUE(entry.sees);
    EXPECT_EQ(entry.folder_objection, "");
  }
  // Not of a model that has no eyes, and not by a name that only looks so.
  tensors_.push_back({"vision_tower_x.weight", "BF16", {4}, std::vector<std::byte>(8)});
  EXPECT_THAT(refusal(config), HasSubstr("tensor vision_tower_x.weight has no place"));
  tensors_.pop_back();
  EXPECT_THAT(refusal(tiny_llama_config()), HasSubstr("has no place"));
}

// Experts as gpt-oss mixes their rows, with a dimension too many: rows are paired in each matrix,
// and three have no pairs however many matrices there are.
TEST_F(FolderKinds, RowsArePairedInEachMatrix) {
  tensors_ = {{"model.layers.0.mlp.experts.gate_up_proj_blocks",
               "U8",
               {2, 1, 3, 2, 16},
               std::vector<std::byte>(2 * 3 * 2 * 16)},
              {"model.layers.0.mlp.experts.gate_up_proj_scales",
               "U8",
               {2, 1, 3, 2},
               std::vector<std::byte>(2 * 3 * 2)}};
  const std::string config =
      R"({"model_type":"gpt_oss","hidden_size":64,"intermediate_size":64,"num_hidden_layers":1,)"
      R"("num_attention_heads":4,"num_key_value_heads":2,"rms_norm_eps":1e-05,)"
      R"("max_position_embeddings":2048,"num_local_experts":2,"num_experts_per_tok":1})";
  EXPECT_THAT(refusal(config), HasSubstr("has 3 outputs, and should have two for each"));
}

// Numbers that are made for each pair of a head's values are not made for any number of them.
TEST_F(FolderKinds, HeadsHaveABound) {
  const std::string config =
      tiny_llama_config(R"(,"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,)"
                        R"("high_freq_factor":4,"original_max_position_embeddings":8192})");
  ASSERT_TRUE(open(config));
  std::string large = config;
  large.replace(large.find("\"head_dim\":32"), 13, "\"head_dim\":2147483647");
  EXPECT_THAT(refusal(large), HasSubstr("is 2147483647, at most 65536 are allowed"));
}

// Llama 4's: with nothing between the ends a pair is kept or slowed down. 1024 tokens are a turn of
// pair 8 (10000^(8/16) = 100 tokens a radian), and less than one of pair 9.
TEST_F(FolderKinds, Llama3ScalingMayHaveNothingBetweenItsEnds) {
  const auto made = open(tiny_llama_config(
      R"(,"rope_scaling":{"rope_type":"llama3","factor":16.0,"low_freq_factor":1.0,)"
      R"("high_freq_factor":1.0,"original_max_position_embeddings":1024})"));
  ASSERT_TRUE(made) << made.error().message;
  const GgufTensor* factors = (*made)->find_tensor("rope_freqs.weight");
  ASSERT_NE(factors, nullptr);
  std::vector<float> values(16);
  formats::dequantize_row(*factors, 0, values.data());
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(values[i], i <= 8 ? 1 : 16) << i;
}

TEST(Float8, EveryNumberIsWhatItStandsFor) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    const float got = formats::e4m3_to_float(static_cast<std::uint8_t>(bits));
    const unsigned exponent = (bits >> 3) & 15;
    const unsigned mantissa = bits & 7;
    if ((bits & 127) == 127) {
      EXPECT_TRUE(std::isnan(got));
      continue;
    }
    const double magnitude = exponent == 0
                                 ? std::ldexp(mantissa, -9)
                                 : std::ldexp(8 + mantissa, static_cast<int>(exponent) - 10);
    EXPECT_EQ(got, bits >= 128 ? -magnitude : magnitude) << bits;
    EXPECT_EQ(std::signbit(got), bits >= 128) << bits;
  }
  EXPECT_EQ(formats::e4m3_to_float(0x7e), 448.0F);  // the largest
}

// Weights of 8-bit floats, and scales of tiles of 48 x 40 that fit neither the rows nor the
// columns.
TEST_F(FolderKinds, EightBitFloatsAreTheirScalesTimesThem) {
  constexpr std::string_view kFp8 =
      R"(,"quantization_config":{"quant_method":"fp8","fmt":"e4m3","activation_scheme":"dynamic",)"
      R"("weight_block_size":[48,40]})";
  const std::string name = "model.layers.1.mlp.down_proj.weight";  // 64 x 96
  std::vector<float> wanted;
  std::vector<std::byte> scales;
  const auto scale_of = [](std::size_t tile) { return 0.001F * static_cast<float>(tile + 1); };
  for (std::size_t tile = 0; tile < 2 * 3; ++tile) test::append(scales, scale_of(tile));
  for (test::SafetensorsEntry& tensor : tensors_) {
    if (tensor.name != name) continue;
    tensor.dtype = "F8_E4M3";
    tensor.data.clear();
    for (std::size_t i = 0; i < 64 * 96; ++i) {
      const auto bits = static_cast<std::uint8_t>(i * 7 % 127 + i % 2 * 128);
      tensor.data.push_back(static_cast<std::byte>(bits));
      const float product = formats::e4m3_to_float(bits) * scale_of(i / 96 / 48 * 3 + i % 96 / 40);
      // To nearest, ties to even, of 16 bits.
      const auto whole = std::bit_cast<std::uint32_t>(product);
      const std::uint32_t rounded = whole + 0x7fff + ((whole >> 16) & 1);
      wanted.push_back(formats::bfloat16_to_float(static_cast<std::uint16_t>(rounded >> 16)));
    }
  }
  const std::size_t weights = tensors_.size();
  tensors_.push_back({name + "_scale_inv", "F32", {2, 3}, scales});
  const auto made = open(tiny_llama_config(kFp8));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ((*made)->tensors().size(), weights);
  const GgufTensor* tensor = (*made)->find_tensor("blk.1.ffn_down.weight");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->type, formats::DType::BF16);
  std::vector<float> row(96);
  for (std::size_t r = 0; r < 64; ++r) {
    formats::dequantize_row(*tensor, r, row.data());
    for (std::size_t i = 0; i < 96; ++i) ASSERT_EQ(row[i], wanted[r * 96 + i]) << r << ' ' << i;
  }
  const ModelEntry entry = inspect_path(path_.string(), {});
  EXPECT_EQ(entry.problem, "");
  EXPECT_EQ(entry.folder_objection, "");

  std::string torchs = tiny_llama_config(kFp8);  // the same format in torch's words
  torchs.replace(torchs.find("e4m3"), 4, "float8_e4m3fn");
  EXPECT_TRUE(open(torchs));

  tensors_.back().shape = {3, 2};
  EXPECT_THAT(refusal(tiny_llama_config(kFp8)),
              HasSubstr("is [64, 96] in tiles of 48 x 40, which wants scales of [2, 3]; they are "
                        "[3, 2]"));
  tensors_.back().shape = {2, 3};
  EXPECT_THAT(refusal(tiny_llama_config()), HasSubstr("no quantization_config of the method fp8"));
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string config = tiny_llama_config(kFp8);
    config.replace(config.find(from), from.size(), to);
    const std::string said = refusal(config);
    // The same is known before the weights are looked at.
    EXPECT_THAT(judge_folder_model(nlohmann::json::parse(config)).objection.value_or(""),
                HasSubstr("cannot read its weights"));
    return said;
  };
  EXPECT_THAT(changed("\"dynamic\"", "\"static\""), HasSubstr("activation_scheme must be dynamic"));
  EXPECT_THAT(changed("\"e4m3\"", "\"e5m2\""), HasSubstr("fmt must be e4m3"));
  EXPECT_THAT(changed("[48,40]", "[0,40]"), HasSubstr("weight_block_size must be two"));
  EXPECT_THAT(changed("[48,40]", "null"), HasSubstr("weight_block_size must be two"));
  tensors_.pop_back();
  EXPECT_THAT(refusal(tiny_llama_config(kFp8)), HasSubstr("down_proj.weight_scale_inv is missing"));
}

}  // namespace
}  // namespace minerva::models
