// Model files and folders for the tests of this room, as they lie on disks.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/sha256.h"
#include "support/byte_vocab.h"
#include "support/gguf_writer.h"
#include "support/safetensors_writer.h"

namespace minerva::models {

inline void write_text(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

inline void write_bytes(const std::filesystem::path& path, const std::vector<std::byte>& bytes) {
  std::filesystem::create_directories(path.parent_path());
  test::write_file(path, bytes);
}

inline std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A llama's figures: 30 layers of 3 heads of 64, 576 wide.
inline test::GgufWriter small_gguf() {
  test::GgufWriter writer = test::byte_vocab();
  writer.add_u32("llama.block_count", 30).add_u32("llama.embedding_length", 576);
  writer.add_u32("llama.attention.head_count", 9).add_u32("llama.attention.head_count_kv", 3);
  return writer;
}

inline test::GgufWriter small_projector(std::uint32_t width) {
  test::GgufWriter writer;
  writer.add_string("general.architecture", "clip").add_string("general.type", "mmproj");
  writer.add_bool("clip.has_vision_encoder", true);
  writer.add_u32("clip.vision.projection_dim", width);
  return writer;
}

inline test::GgufWriter small_adapter() {
  test::GgufWriter writer;
  writer.add_string("general.architecture", "llama").add_string("general.type", "adapter");
  writer.add_string("adapter.type", "lora");
  return writer;
}

inline constexpr std::string_view kLlamaConfig =
    R"({"model_type":"llama","num_hidden_layers":30,"num_attention_heads":9,)"
    R"("num_key_value_heads":3,"hidden_size":576,"max_position_embeddings":8192})";

// As transformers saves a model.
inline void write_hf_folder(const std::filesystem::path& folder,
                            std::string_view config = kLlamaConfig) {
  write_text(folder / "config.json", config);
  write_text(folder / "tokenizer.json", R"({"model":{"vocab":{"a":0,"auto_map":1}}})");
  write_bytes(folder / "model.safetensors", test::small_safetensors("pt"));
}

// Puts a blob into an Ollama store and gives its layer of a manifest.
inline std::string ollama_layer(const std::filesystem::path& root, std::string_view kind,
                                std::string_view content) {
  const std::string hex = sha256_hex(content);
  write_text(root / "blobs" / ("sha256-" + hex), content);
  return R"({"mediaType":"application/vnd.ollama.image.)" + std::string(kind) +
         R"(","digest":"sha256:)" + hex + R"(","size":)" + std::to_string(content.size()) + "}";
}

inline void write_manifest(const std::filesystem::path& root, std::string_view name,
                           std::string_view config_layer, std::string_view layers) {
  write_text(root / "manifests" / name, R"({"schemaVersion":2,"config":)" +
                                            std::string(config_layer) + R"(,"layers":[)" +
                                            std::string(layers) + "]}");
}

}  // namespace minerva::models
