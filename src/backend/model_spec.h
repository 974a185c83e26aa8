// Which files make a model and how it is to be loaded. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minerva::backend {

// How a model lies on the disk, told by its content (models/).
enum class ModelFormat : std::uint8_t {
  Unknown,
  Gguf,
  Safetensors,  // a Hugging Face folder, of full or half precision
  Mlx,          // a folder that mlx-lm made, quantised or not
  Gptq,         // a Hugging Face folder with weights of GPTQ, AWQ or compressed-tensors
  OnnxGenAi,    // a folder with genai_config.json
  TensorRt,     // a folder with built engines
  Remote,       // on another server, known by name only
};
std::string_view to_string(ModelFormat format);

struct ModelSpec {
  std::string name;  // as clients call it
  ModelFormat format = ModelFormat::Unknown;
  std::string architecture;  // "llama", "gemma3"; empty when unknown
  // Of a folder: what it is called in GGUF's terms, and why it cannot be read in them; both may be
  // empty.
  std::string gguf_architecture;
  std::string folder_objection;
  // Why engines in Python must not see the folder: it brings code that nobody has allowed.
  std::string own_code;
  std::string path;     // weights: a GGUF file, its first shard, or a model folder
  bool sees = false;    // it takes images, given an engine that does
  bool embeds = false;  // it was made for vectors: an encoder, or a file that says how to pool
  std::optional<std::string> mmproj_path;
  std::vector<std::string> adapter_paths;
  std::optional<std::string> chat_template;  // in place of the model's own
  std::uint64_t size_bytes = 0;              // of the weights, all parts together
  std::uint64_t trained_context = 0;         // tokens; 0 when unknown
  // Bytes of keys and values a token takes in f16, all layers together; 0 when unknown.
  std::uint64_t kv_bytes_per_token = 0;
};

// Where memory goes, one entry a device ("cpu", "cuda:0").
struct DeviceMemory {
  std::string device;
  std::uint64_t bytes = 0;
};

}  // namespace minerva::backend
