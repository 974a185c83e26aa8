// What a model folder's config.json says of the model, as far as serving needs it. What is missing
// or odd there stays unknown: engines judge it when they load. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace minerva::models {

struct ConfigFacts {
  std::string architecture;
  std::uint64_t context_length = 0;
  std::uint64_t kv_bytes_per_token = 0;
  bool sees = false;
};

// As transformers writes it. A model with several towers keeps its text part in text_config.
ConfigFacts read_config_facts(const nlohmann::json& config);

// genai_config.json of ONNX Runtime.
ConfigFacts read_genai_facts(const nlohmann::json& config);

// Of keys and values in f16; 0 when a figure is missing or does not fit.
std::uint64_t kv_bytes(std::uint64_t layers_times_heads, std::uint64_t key_length,
                       std::uint64_t value_length);

// An object's member: a whole number, an object, a string; 0, nullptr or empty when it is none.
std::uint64_t number_in(const nlohmann::json& object, std::string_view key);
const nlohmann::json* object_in(const nlohmann::json& object, std::string_view key);
std::string string_in(const nlohmann::json& object, std::string_view key);

}  // namespace minerva::models
