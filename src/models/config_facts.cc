#include "models/config_facts.h"

#include <algorithm>
#include <optional>

#include "base/checked.h"
#include "base/log.h"

namespace minerva::models {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kF16Bytes = 2;
constexpr std::size_t kNameBytesMax = 80;

const Json* member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(key);
  return at == object.end() ? nullptr : &*at;
}

// The part with the numbers of the language model.
const Json& text_part(const Json& config) {
  for (const char* key : {"text_config", "llm_config", "language_config"}) {
    if (const Json* part = object_in(config, key)) return *part;
  }
  return config;
}

// Of all layers together. Some models give a number for each.
std::uint64_t kv_heads(const Json& text, std::uint64_t layers) {
  const Json* heads = member(text, "num_key_value_heads");
  if (heads != nullptr && heads->is_array()) {
    std::optional<std::uint64_t> sum = 0;
    for (const Json& head : *heads) {
      if (!head.is_number_unsigned()) return 0;
      sum = checked_add(*sum, head.get<std::uint64_t>());
      if (!sum) return 0;
    }
    return *sum;
  }
  std::uint64_t each = number_in(text, "num_key_value_heads");
  if (each == 0) each = number_in(text, "num_attention_heads");
  return checked_mul(layers, each).value_or(0);
}

// Those that keep keys and values: others may have a state of one size instead.
std::uint64_t layers_with_kv(const Json& text) {
  const std::uint64_t layers = number_in(text, "num_hidden_layers");
  const Json* kinds = member(text, "layer_types");
  if (kinds == nullptr || !kinds->is_array()) {
    const bool has_states = number_in(text, "linear_num_value_heads") != 0;
    const std::uint64_t interval = number_in(text, "full_attention_interval");
    return has_states ? layers / (interval == 0 ? 4 : interval) : layers;
  }
  const auto is_linear = [](const Json& kind) { return kind == "linear_attention"; };
  return layers - std::min<std::uint64_t>(
                      layers, static_cast<std::uint64_t>(std::ranges::count_if(*kinds, is_linear)));
}

std::uint64_t kv_of(const Json& text) {
  const std::uint64_t layers = layers_with_kv(text);
  // Latent attention keeps one compressed vector a token, and the rotated part of the key.
  if (const std::uint64_t rank = number_in(text, "kv_lora_rank"); rank != 0)
    return kv_bytes(layers, rank, number_in(text, "qk_rope_head_dim"));
  std::uint64_t length = number_in(text, "head_dim");
  const std::uint64_t heads = number_in(text, "num_attention_heads");
  if (length == 0 && heads != 0) length = number_in(text, "hidden_size") / heads;
  return kv_bytes(kv_heads(text, layers), length, length);
}

}  // namespace

std::uint64_t number_in(const Json& object, std::string_view key) {
  const Json* at = member(object, key);
  return at != nullptr && at->is_number_unsigned() ? at->get<std::uint64_t>() : 0;
}

const Json* object_in(const Json& object, std::string_view key) {
  const Json* at = member(object, key);
  return at != nullptr && at->is_object() ? at : nullptr;
}

std::string string_in(const Json& object, std::string_view key) {
  const Json* at = member(object, key);
  return at != nullptr && at->is_string() ? at->get<std::string>() : std::string();
}

std::uint64_t kv_bytes(std::uint64_t layers_times_heads, std::uint64_t key_length,
                       std::uint64_t value_length) {
  const auto length = checked_add(key_length, value_length);
  if (!length) return 0;
  const auto numbers = checked_mul(layers_times_heads, *length);
  return numbers ? checked_mul(*numbers, kF16Bytes).value_or(0) : 0;
}

ConfigFacts read_config_facts(const Json& config) {
  ConfigFacts facts;
  const Json& text = text_part(config);
  facts.architecture = escape_controls(string_in(config, "model_type").substr(0, kNameBytesMax));
  facts.context_length = number_in(text, "max_position_embeddings");
  if (facts.context_length == 0)
    facts.context_length = number_in(config, "max_position_embeddings");
  facts.kv_bytes_per_token = kv_of(text);
  facts.sees = object_in(config, "vision_config") != nullptr ||
               !string_in(config, "mm_vision_tower").empty();
  return facts;
}

ConfigFacts read_genai_facts(const Json& config) {
  ConfigFacts facts;
  const Json* model = object_in(config, "model");
  if (model == nullptr) return facts;
  facts.architecture = escape_controls(string_in(*model, "type").substr(0, kNameBytesMax));
  facts.context_length = number_in(*model, "context_length");
  facts.sees = object_in(*model, "vision") != nullptr;
  if (const Json* decoder = object_in(*model, "decoder")) {
    const auto heads = checked_mul(number_in(*decoder, "num_hidden_layers"),
                                   number_in(*decoder, "num_key_value_heads"));
    const std::uint64_t length = number_in(*decoder, "head_size");
    facts.kv_bytes_per_token = kv_bytes(heads.value_or(0), length, length);
  }
  return facts;
}

}  // namespace minerva::models
