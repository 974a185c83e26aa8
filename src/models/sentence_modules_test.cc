// What sentence-transformers folders say of their vectors, on the tiny BERT and the tiny Qwen3 of
// tests/data/encoder.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/folder_model.h"
#include "models/test_files.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class SentenceModules : public testing::Test {
 protected:
  // A copy that a test may change.
  fs::path copy(const std::string& name) {
    const fs::path source = fs::path(MINERVA_SOURCE_DIR) / "tests" / "data" / "encoder" / name;
    const fs::path to = temporary_.path() / fmt::format("{}{}", name, ++copies_);
    fs::copy(source, to, fs::copy_options::recursive);
    return to;
  }
  static std::shared_ptr<const formats::GgufFile> open(const fs::path& folder) {
    const auto opened = open_model_folder(folder.string());
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *opened : nullptr;
  }
  // What is said to a copy of `name` with this file in it.
  std::string refusal(const std::string& name, const std::string& file, std::string_view text) {
    const fs::path folder = copy(name);
    write_text(folder / file, text);
    const auto opened = open_model_folder(folder.string());
    return opened ? "it was opened" : opened.error().message;
  }

  test::TempFolder temporary_;
  int copies_ = 0;
};

TEST_F(SentenceModules, AnEncodersFolderIsItsGguf) {
  const auto file = open(copy("tiny"));
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->get_string("general.architecture").value(), "bert");
  for (const auto& [key, value] : {std::pair{"block_count", 2U},
                                   {"embedding_length", 32U},
                                   {"feed_forward_length", 64U},
                                   {"attention.head_count", 4U},
                                   {"context_length", 40U},
                                   {"pooling_type", 1U}}) {
    EXPECT_EQ(file->get_uint(fmt::format("bert.{}", key)).value(), value) << key;
  }
  EXPECT_TRUE(file->get_bool("bert.normalize_embeddings").value());
  EXPECT_FALSE(file->get_bool("bert.attention.causal").value());
  EXPECT_EQ(file->get_uint("tokenizer.ggml.token_type_count").value(), 2U);
  EXPECT_FALSE(file->has("bert.embedding_context_length")) << "the folder does not say";
  for (const char* name :
       {"token_embd.weight", "position_embd.weight", "token_types.weight", "token_embd_norm.bias",
        "blk.1.attn_q.bias", "blk.1.attn_output.weight", "blk.0.attn_output_norm.weight",
        "blk.0.ffn_up.weight", "blk.0.ffn_down.bias", "blk.1.layer_output_norm.weight"}) {
    EXPECT_NE(file->find_tensor(name), nullptr) << name;
  }
  EXPECT_EQ(file->tensors().size(), 5U + 2 * 16);
}

TEST_F(SentenceModules, ADecodersTensorsMayLackTheirFirstLevel) {
  const auto file = open(copy("decoder"));
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->get_string("general.architecture").value(), "qwen3");
  EXPECT_EQ(file->get_uint("qwen3.pooling_type").value(), 3U);
  EXPECT_EQ(file->get_uint("qwen3.embedding_context_length").value(), 400U);
  EXPECT_NE(file->find_tensor("token_embd.weight"), nullptr);
  EXPECT_NE(file->find_tensor("output_norm.weight"), nullptr);
  EXPECT_NE(file->find_tensor("blk.1.attn_q_norm.weight"), nullptr);
}

TEST_F(SentenceModules, PoolingAndNormAreTheFoldersOwn) {
  const fs::path folder = copy("tiny");
  write_text(folder / "1_Pooling/config.json",
             R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false})");
  write_text(folder / "modules.json",
             R"([{"type":"x.Transformer"},{"path":"1_Pooling","type":"x.Pooling"}])");
  write_text(folder / "sentence_bert_config.json",
             R"({"max_seq_length":32,"do_lower_case":true})");  // which its tokenizer does
  const auto file = open(folder);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->get_uint("bert.pooling_type").value(), 2U);
  EXPECT_FALSE(file->get_bool("bert.normalize_embeddings").value());
  EXPECT_EQ(file->get_uint("bert.embedding_context_length").value(), 32U);
  for (const auto& [word, number] : {std::pair{"mean", 1U}, {"cls", 2U}, {"lasttoken", 3U}}) {
    write_text(folder / "1_Pooling/config.json", fmt::format(R"({{"pooling_mode":"{}"}})", word));
    EXPECT_EQ(open(folder)->get_uint("bert.pooling_type").value(), number);
  }
  // A folder of transformers' alone says nothing.
  fs::remove(folder / "modules.json");
  EXPECT_FALSE(open(folder)->has("bert.pooling_type"));
}

TEST_F(SentenceModules, WhatWouldChangeTheVectorsIsRefusedByName) {
  struct Case {
    const char* model;
    const char* file;
    const char* text;
    const char* said;
  };
  const Case cases[] = {
      {"tiny", "modules.json", R"([{"type":"x.Transformer"},{"type":"x.Dense","path":"2_Dense"}])",
       "module of the type x.Dense"},
      {"tiny", "modules.json", R"([{"type":"x.Transformer"}])", "has no Pooling"},
      {"tiny", "modules.json", R"([{"type":"x.Pooling","path":"3_P"}])",
       "names 3_P/config.json, which is missing"},
      {"tiny", "modules.json", R"([{"type":"x.Pooling","path":"../1_Pooling"}])",
       "names ../1_Pooling/config.json, which is missing"},
      {"tiny", "modules.json",
       R"([{"type":"P.Pooling","path":"1_Pooling"},{"type":"P.Pooling","path":"1_Pooling"}])",
       "one Pooling"},
      {"tiny", "modules.json", "{}", "modules.json holds no array"},
      {"tiny", "modules.json", "[7]", "a module of the type "},
      {"tiny", "modules.json", "[", "modules.json"},
      {"tiny", "1_Pooling/config.json", R"({"pooling_mode_max_tokens":true})",
       "pools by pooling_mode_max_tokens"},
      {"tiny", "1_Pooling/config.json",
       R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true})",
       "pools by pooling_mode_cls_token, pooling_mode_mean_tokens"},
      {"tiny", "1_Pooling/config.json", "{}", "pools by nothing"},
      {"tiny", "1_Pooling/config.json", R"({"pooling_mode":"weightedmean"})",
       "pooling_mode is weightedmean"},
      {"tiny", "1_Pooling/config.json", "3", "holds no object"},
      {"tiny", "sentence_bert_config.json", R"({"max_seq_length":0})", "max_seq_length"},
      {"decoder", "sentence_bert_config.json", R"({"do_lower_case":true})", "do_lower_case"},
      {"tiny", "config_sentence_transformers.json",
       R"({"prompts":{"query":"Q: "},"default_prompt_name":"query"})",
       "default_prompt_name is query"},
      {"tiny", "config_sentence_transformers.json",
       R"({"prompts":{"query":""},"default_prompt_name":"query"})", "it was opened"},
      {"tiny", "config_sentence_transformers.json",
       R"({"prompts":{"query":"Q: "},"default_prompt_name":null})", "it was opened"},
      {"tiny", "config.json", R"({"model_type":"bert","hidden_act":"relu"})", "hidden_act"},
      {"tiny", "config.json", R"({"model_type":"bert","position_embedding_type":"relative_key"})",
       "position_embedding_type"},
      {"tiny", "config.json", R"({"model_type":"bert","is_decoder":true})", "is_decoder"},
      {"tiny", "config.json", R"({"model_type":"bert"})", "num_hidden_layers"},
      {"decoder", "config.json", R"({"model_type":"qwen3","is_causal":false})", "is_causal"},
      {"decoder", "config.json", R"({"model_type":"qwen3","use_bidirectional_attention":true})",
       "use_bidirectional_attention"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.text);
    EXPECT_THAT(refusal(one.model, one.file, one.text), HasSubstr(one.said));
  }
}

}  // namespace
}  // namespace minerva::models
