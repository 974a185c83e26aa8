// A family of models as Hugging Face and mlx-lm lay it out, in the terms of GGUF: which keys its
// config.json becomes, and which tensor each of its tensors becomes. Keys, names and layouts are
// those that llama.cpp's converter writes. A family is a table and a function in a file of its own
// (family_*.cc, docs/add-a-model.md). Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "formats/gguf_metadata.h"
#include "models/config_reader.h"
#include "models/delta_heads.h"

namespace minerva::models {

// What happens to a tensor's rows or values on the way.
enum class Change : std::uint8_t {
  Same,
  RotaryQ,    // rotary pairs are neighbours in GGUF and halves of a head in the folder
  RotaryK,    // the same for the heads of the keys
  PlusOne,    // a norm whose weight counts from 1
  Float,      // a matrix that is kept in F32
  EvenRows,   // rows 0, 2, 4, … and
  OddRows,    // rows 1, 3, 5, … of a matrix that mixes two
  FirstRows,  // the first half of the rows, of each expert where there are several, and
  LastRows,   // the second half of a matrix that holds two
  FromThird,  // rows 2, 3, 4, …
  // Of a matrix that has each KV head's queries, then its key and its value.
  GroupedQ,  // with rotary pairs as neighbours
  GroupedK,  // the same
  GroupedV,
  Columns,  // of [expert][input][output]: a row is an output
  EvenColumns,
  OddColumns,
  FirstColumns,  // the first half of the outputs, and the second
  LastColumns,
  Squeeze,  // without dimensions of 1
  // Of gated delta rules (delta_rows.h): rows that each key head has together, to those of all
  // heads' queries, keys and values, and to those of their gates.
  MixedOfAll,
  GatesOfAll,
  MixedHeads,    // the same without mixture, in GGUF's order of value heads
  ValueHeads,    // rows or values of each value head
  ValueColumns,  // inputs of each value head
  Taps,          // MixedHeads of a convolution, without dimensions of 1 and in F32
  Decay,         // ValueHeads, of which -e^x is kept
  Skip,          // nothing that is computed with
};

// `{}` stands for a number. A pattern is of a module, whose .weight and .bias keep their endings,
// or where `whole` of a whole name. The first number is the layer's; a second one, which `to` has
// not, counts pieces of a tensor: experts, heads.
struct TensorRule {
  std::string_view from;
  std::string_view to;
  Change change = Change::Same;
  bool whole = false;
};

// Where a family writes what it makes of the configuration.
class FamilyWriter {
 public:
  FamilyWriter(const ConfigReader& config, const ConfigReader& whole, std::string_view architecture,
               formats::GgufMetadata& metadata)
      : config(config), whole(whole), architecture_(architecture), metadata_(metadata) {}
  FamilyWriter(const FamilyWriter&) = delete;
  FamilyWriter& operator=(const FamilyWriter&) = delete;

  // Of the language model.
  ConfigReader config;
  // All of config.json, where the language model is a part of it.
  ConfigReader whole;
  // What the configuration may leave out; nulls count as left out.
  void set_defaults(nlohmann::json defaults);
  // Another configuration than the file's: the same in words that all families have.
  void replace_config(nlohmann::json config);

  // `key` without the architecture in front.
  void u32(std::string_view key, std::uint32_t value);
  // Of the vocabulary: `key` behind "tokenizer.ggml.".
  void vocabulary_u32(std::string_view key, std::uint32_t value);
  void f32(std::string_view key, double value);
  void flag(std::string_view key, bool value);
  void i32s(std::string_view key, std::span<const std::int32_t> values);
  // `key` as it is.
  void plain_f32s(std::string_view key, std::span<const float> values);
  void flags(std::string_view key, const std::vector<bool>& values);
  void text(std::string_view key, std::string_view value);
  // A tensor that no file of the folder has.
  void tensor(std::string name, std::vector<float> values);

  std::vector<std::pair<std::string, std::vector<float>>> tensors;
  // The family's queries grow with their position, as the scaling's llama_4_scaling_beta says.
  bool growing_queries = false;
  // The family's YaRN rounds the ends of its ramp to whole pairs, as it does unless told otherwise.
  bool rounded_ramp = true;
  // Layers behind the model's, in the folder and in GGUF, that only guess at further tokens.
  std::uint32_t draft_layers = 0;
  // Attention through latents: of a head's key and value, which are not head_dim long. 0: they are.
  std::uint32_t key_dim = 0, value_dim = 0;
  // KV heads of each layer, where they differ; empty: they do not.
  std::vector<std::int32_t> kv_heads_of_layers;
  // Heads of gated delta rules, where the family has them.
  DeltaHeads delta;
  // Modules of such a name are of parts that only guess at further tokens: left out.
  std::string_view left_out;
  // Set by write_decoder_keys().
  std::uint32_t layers = 0, width = 0, heads = 0, kv_heads = 0, head_dim = 0, context = 0;

 private:
  std::string key_of(std::string_view key) const;
  nlohmann::json with_defaults_;
  std::string architecture_;
  formats::GgufMetadata& metadata_;
};

class FolderTensors;

struct Family {
  std::array<std::string_view, 3> model_types;  // of config.json; the rest are empty
  std::string_view architecture;                // general.architecture
  std::span<const TensorRule> rules;            // before those of every decoder
  Result<void> (*write)(FamilyWriter& out);
  // Keys that are made of tensors' values; null: there are none.
  Result<void> (*write_values)(FamilyWriter& out, const FolderTensors& tensors) = nullptr;
};

// nullptr: no such family.
const Family* find_family(std::string_view model_type);
std::span<const Family> all_families();
// Of every family, after its own rules.
std::span<const TensorRule> decoder_rules();

// What config.json says of RoPE, in any of its spellings.
struct RopeFacts {
  double base = 10'000;
  double rotated = 1;  // share of a head's values
  std::string type;    // of the scaling; empty: none
  nlohmann::json scaling = nlohmann::json::object();
};
// `kind`: of the layers, where they differ ("full_attention"); else empty.
Result<RopeFacts> read_rope_facts(const ConfigReader& config, double base,
                                  std::string_view kind = {});

// Counts and widths, which all decoders share; the epsilon of RMS norms where there is one.
Result<void> write_decoder_keys(FamilyWriter& out);
// Its base, the number of rotated values and the scaling: linear, Llama 3's and YaRN's. Others are
// refused by name.
Result<void> write_rope(FamilyWriter& out, const RopeFacts& rope);
// Both, as most families have them.
Result<void> write_decoder(FamilyWriter& out);
// config.json's KEY as `to`, where it is there.
Result<void> write_number(FamilyWriter& out, std::string_view key, std::string_view to);
Result<void> write_count(FamilyWriter& out, std::string_view key, std::string_view to);
// How a router's logits become scores, by GGUF's numbers.
enum class RouterGate : std::uint32_t { Softmax = 1, Sigmoid = 2 };
// Numbers of experts by their usual keys, and how their scores come about. Dense layers come first.
Result<void> write_routing(FamilyWriter& out, RouterGate gate);
// qwen2_moe's and qwen3_moe's keys. `renormalised`: whether the chosen experts' weights sum to 1,
// which GGUF does not say.
Result<void> write_qwen_experts(FamilyWriter& out, bool renormalised);
// Of these the experts' alone.
Result<void> write_qwen_routing(FamilyWriter& out, bool renormalised);
// Attention through latents (family_latent.cc): the tensors, the lengths of a head's parts, which
// go before write_decoder_keys(), and the ranks, which go behind it.
std::span<const TensorRule> latent_rules();
Result<void> read_latent_heads(FamilyWriter& out, std::uint32_t value_dim);
Result<void> write_latent_ranks(FamilyWriter& out);
// longrope: two sets of divisors of the frequencies.
Result<void> write_longrope(FamilyWriter& out, const RopeFacts& rope);
// Which layers see a window: every `period`-th one does not. Refuses layer_types that say
// otherwise.
Result<void> check_window_layers(const FamilyWriter& out, std::uint32_t period);
// A configuration that says what the family's graph cannot do is refused: `key` must be `value`.
Result<void> must_be(const ConfigReader& config, std::string_view key, bool value);
Result<void> must_be_one_of(const ConfigReader& config, std::string_view key,
                            std::initializer_list<std::string_view> values);

// --- the families ---
Family bert_family();
Family roberta_family();
Family llama_family();
Family mistral3_family();
Family mixtral_family();
Family granite_family();
Family smollm3_family();
Family qwen2_family();
Family qwen3_family();
Family qwen2_moe_family();
Family qwen3_moe_family();
Family apertus_family();
Family minimax_m2_family();
Family phimoe_family();
Family llama4_family();
Family exaone_family();
Family internlm2_family();
Family internlm3_family();
Family minicpm_family();
Family minicpm3_family();
Family bailing_moe_family();
Family qwen2_vl_family();
Family qwen2_5_vl_family();
Family qwen3_vl_family();
Family qwen3_vl_moe_family();
Family qwen3_next_family();
Family qwen3_5_family();
Family qwen3_5_moe_family();
Family gemma2_family();
Family gemma3_family();
Family phi3_family();
Family cohere_family();
Family cohere2_family();
Family olmo2_family();
Family olmo3_family();
Family stablelm_family();
Family starcoder2_family();
Family glm4_family();
Family gpt_oss_family();
Family gemma_family();
Family gemma4_family();
Family arcee_family();
Family nemotron_family();
Family exaone4_family();
Family seed_oss_family();
Family ernie4_5_family();
Family ernie4_5_moe_family();
Family hunyuan_dense_family();
Family hunyuan_moe_family();
Family olmoe_family();
Family granitemoe_family();
Family granite_hybrid_family();
Family glm4_moe_family();
Family dots1_family();
Family lfm2_family();
Family lfm2_moe_family();
Family deepseek_v2_family();
Family deepseek_v3_family();
Family glm4_moe_lite_family();

}  // namespace minerva::models
