// All tensors of a model folder, mapped and checked: by name, whichever of its safetensors files
// each lies in. Immutable; the views live as long as the mappings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "models/config_reader.h"
#include "models/model_folder.h"
#include "models/weight_source.h"

namespace minerva::models {

struct FolderTensor {
  std::string dtype;
  std::vector<std::uint64_t> shape;  // slowest first
  std::span<const std::byte> bytes;  // as many as dtype and shape want
};

// How mlx-lm quantised a module; `mode` "affine" or "mxfp4".
struct MlxQuantization {
  std::uint32_t bits = 0;  // 0: the folder has no quantised weights
  std::uint32_t group = 0;
  std::string mode;
};

// What config.json says of all modules, or of this one. Unsupported names the mode or the bits.
Result<MlxQuantization> read_mlx_quantization(const ConfigReader& config, std::string_view module);

// Of config.json's quantization_config, where it says fp8, or compressed-tensors' float-quantized;
// nothing where it says nothing or another method. Unsupported for formats but E4M3 and for scales
// of activations.
struct Float8Quantization {
  std::uint64_t block_rows = 0;  // 0: a scale for each row, or one for all
  std::uint64_t block_cols = 0;
  std::string scales = "_scale_inv";  // what they are called behind the weight's name
};
Result<std::optional<Float8Quantization>> read_float8_quantization(const ConfigReader& config);

// Of quantization_config, where it says gptq, awq or compressed-tensors' pack-quantized; nothing
// where it says nothing or another method.
struct PackedQuantization {
  PackedSource::Layout layout = PackedSource::Layout::Gptq;
  std::uint32_t bits = 0;
  std::uint32_t group = 0;  // 0: all inputs of an output
  bool zeros_less_one = false;
};
// Unsupported names what our engine has no place for.
Result<std::optional<PackedQuantization>> read_packed_quantization(const ConfigReader& config);

// The module whose codes this is the name of (of GPTQ, AWQ or compressed-tensors); or empty.
std::string_view module_of_codes(std::string_view name);

class FolderTensors {
 public:
  // InvalidModel: a file that is missing or lies, a name in two files.
  static Result<FolderTensors> open(const ModelFolder& folder);

  const std::map<std::string, FolderTensor, std::less<>>& all() const { return tensors_; }
  const FolderTensor* find(std::string_view name) const;
  // Belongs to the weights of a quantised module.
  bool is_part_of_quantized(std::string_view name) const;
  // For who keeps the views.
  std::vector<std::unique_ptr<MappedFile>> take_mappings() { return std::move(mappings_); }

  // A tensor as it is, or MODULE.weight of a module that mlx-lm has quantised or whose weights are
  // 8-bit floats with scales. By the name of its codes a module with packed weights.
  // Unsupported: a type that is none of F32, F16 and BF16.
  Result<WeightSource> source(const std::string& name, const ConfigReader& config) const;
  // The only value of a tensor of floats.
  Result<float> number(const std::string& name) const;
  // Blocks of 32 MXFP4 weights and their scales, as gpt-oss has them:
  // U8 [..., cols / 32, 16] and U8 [..., cols / 32].
  Result<WeightSource> mx_source(const std::string& blocks, const std::string& scales) const;

 private:
  Result<WeightSource> quantized(const std::string& module, const FolderTensor& codes,
                                 const ConfigReader& config) const;
  Result<WeightSource> float8(const std::string& name, const FolderTensor& codes,
                              const ConfigReader& config) const;
  Result<WeightSource> packed(const std::string& module, const FolderTensor& codes,
                              const ConfigReader& config) const;

  std::vector<std::unique_ptr<MappedFile>> mappings_;
  std::map<std::string, FolderTensor, std::less<>> tensors_;
};

}  // namespace minerva::models
