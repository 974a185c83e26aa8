// Modules whose weights are quantised in Hugging Face's ways: 8-bit floats, and whole numbers
// packed by GPTQ, AWQ and compressed-tensors.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "models/folder_tensors.h"
#include "models/tensor_checks.h"

namespace minerva::models {
namespace {

using formats::DType;
using Layout = PackedSource::Layout;

constexpr std::uint64_t kBlock = 32;
constexpr std::string_view kCompressed = "compressed-tensors";

Result<std::optional<Float8Quantization>> tile_of(const ConfigReader& config, const char* key) {
  MINERVA_ASSIGN(const auto block, config.numbers(key));
  const auto good = [](float size) {
    return size >= 1 && size <= 65536 && size == std::floor(size);
  };
  if (block.size() != 2 || !good(block[0]) || !good(block[1]))
    return config.refuse(key, "must be two whole numbers from 1 to 65536");
  return Float8Quantization{static_cast<std::uint64_t>(block[0]),
                            static_cast<std::uint64_t>(block[1])};
}

// How compressed-tensors quantised all of its modules, where it is one way: the object `weights`.
Result<ConfigReader> compressed_weights(const ConfigReader& config) {
  const nlohmann::json* groups = config.object("config_groups");
  if (groups == nullptr || groups->size() != 1 || !groups->front().is_object())
    return config.refuse("config_groups", "must have one group of modules, for all of them");
  const ConfigReader group(groups->front(), config.where() + ": config_groups");
  if (const nlohmann::json* inputs = group.object("input_activations")) {
    MINERVA_ASSIGN(const bool dynamic,
                   ConfigReader(*inputs, group.where()).flag_or("dynamic", false));
    if (!dynamic)
      return group.refuse("input_activations", "must be dynamic: activations stay floats here");
  }
  const nlohmann::json* weights = group.object("weights");
  if (weights == nullptr) return group.refuse("weights", "is missing");
  return ConfigReader(*weights, group.where() + ": weights");
}

Result<std::optional<Float8Quantization>> read_compressed_float8(const ConfigReader& config) {
  MINERVA_ASSIGN(const std::string format, config.text_or("format", ""));
  if (format != "float-quantized") return std::nullopt;
  MINERVA_ASSIGN(const ConfigReader weights, compressed_weights(config));
  MINERVA_ASSIGN(const std::string strategy, weights.text_or("strategy", "tensor"));
  std::optional<Float8Quantization> out = Float8Quantization{};
  if (strategy == "block") {
    MINERVA_ASSIGN(out, tile_of(weights, "block_structure"));
  } else if (strategy != "channel" && strategy != "tensor") {
    return weights.refuse("strategy", "must be channel, tensor or block");
  }
  out->scales = "_scale";
  return out;
}

Result<PackedQuantization> read_gptq(const ConfigReader& config) {
  PackedQuantization out;
  MINERVA_ASSIGN(out.bits, config.count("bits"));
  if (out.bits != 2 && out.bits != 4 && out.bits != 8)
    return config.refuse("bits", "must be 2, 4 or 8 for GPTQ to be run here");
  MINERVA_ASSIGN(const std::string format, config.text_or("checkpoint_format", "gptq"));
  if (format != "gptq" && format != "gptq_v2")
    return config.refuse("checkpoint_format", "must be gptq or gptq_v2");
  out.zeros_less_one = format == "gptq";
  if (const nlohmann::json* modules = config.object("dynamic"); modules && !modules->empty())
    return config.refuse("dynamic", "must be empty: modules of different bits are not supported");
  return out;
}

Result<PackedQuantization> read_awq(const ConfigReader& config) {
  PackedQuantization out{.layout = Layout::Awq, .bits = 4, .group = 0, .zeros_less_one = false};
  MINERVA_ASSIGN(const std::uint32_t bits, config.count_of({"bits", "w_bit"}));
  if (bits != out.bits) return config.refuse("bits", "must be 4 for AWQ");
  MINERVA_ASSIGN(const std::string version, config.text_or("version", "gemm"));
  if (version != "gemm" && version != "GEMM")
    return config.refuse("version", "must be gemm for AWQ to be run here");
  return out;
}

Result<std::optional<PackedQuantization>> read_compressed(const ConfigReader& config) {
  MINERVA_ASSIGN(const std::string format, config.text_or("format", ""));
  if (format == "float-quantized") return std::nullopt;
  if (format != "pack-quantized")
    return config.refuse("format", fmt::format("is {}; pack-quantized and float-quantized can be "
                                               "run here",
                                               shown(format)));
  MINERVA_ASSIGN(const ConfigReader weights, compressed_weights(config));
  PackedQuantization out{.layout = Layout::Rows, .bits = 0, .group = 0, .zeros_less_one = false};
  MINERVA_ASSIGN(out.bits, weights.count("num_bits"));
  MINERVA_ASSIGN(const std::string type, weights.text_or("type", "int"));
  if (type != "int" || (out.bits != 4 && out.bits != 8))
    return weights.refuse("num_bits", "must be 4 or 8, of type int");
  MINERVA_ASSIGN(const std::string strategy, weights.text_or("strategy", "group"));
  if (strategy == "group") {
    MINERVA_ASSIGN(out.group, weights.count("group_size"));
  } else if (strategy != "channel") {
    return weights.refuse("strategy", "must be group or channel");
  }
  return out;
}

// -1, as both methods say it, is the whole row.
Result<std::uint32_t> group_size(const ConfigReader& config) {
  const char* key = config.has("q_group_size") ? "q_group_size" : "group_size";
  MINERVA_ASSIGN(const double size, config.number_or(key, 128));
  if (size == -1) return 0U;
  return config.count_or(key, 128);
}

// The input at which the groups are no longer those of neighbours.
std::optional<std::uint64_t> first_out_of_order(std::span<const std::byte> index,
                                                std::uint64_t group) {
  for (std::uint64_t i = 0; i < index.size() / 4; ++i) {
    std::uint32_t at = 0;
    std::memcpy(&at, index.data() + 4 * i, 4);
    if (at != i / group) return i;
  }
  return std::nullopt;
}

}  // namespace

Result<std::optional<Float8Quantization>> read_float8_quantization(const ConfigReader& config) {
  const nlohmann::json* all = config.object("quantization_config");
  if (all == nullptr) return std::nullopt;
  const ConfigReader here(*all, config.where() + ": quantization_config");
  MINERVA_ASSIGN(const std::string method, here.text_or("quant_method", ""));
  if (method == kCompressed) return read_compressed_float8(here);
  if (method != "fp8") return std::nullopt;
  MINERVA_ASSIGN(const std::string format, here.text_or("fmt", "e4m3"));
  MINERVA_ASSIGN(const std::string scheme, here.text_or("activation_scheme", "dynamic"));
  if (format != "e4m3" && format != "float8_e4m3fn") return here.refuse("fmt", "must be e4m3");
  if (scheme != "dynamic")
    return here.refuse("activation_scheme", "must be dynamic: activations stay floats here");
  return tile_of(here, "weight_block_size");
}

Result<std::optional<PackedQuantization>> read_packed_quantization(const ConfigReader& config) {
  const nlohmann::json* all = config.object("quantization_config");
  if (all == nullptr) return std::nullopt;
  const ConfigReader here(*all, config.where() + ": quantization_config");
  MINERVA_ASSIGN(const std::string method,
                 here.text_or("quant_method", here.has("bits") ? "gptq" : ""));
  if (method == kCompressed) return read_compressed(here);
  if (method != "gptq" && method != "awq") return std::nullopt;
  MINERVA_ASSIGN(PackedQuantization out, method == "gptq" ? read_gptq(here) : read_awq(here));
  MINERVA_ASSIGN(out.group, group_size(here));
  return out;
}

std::string_view module_of_codes(std::string_view name) {
  for (const std::string_view ending : {".qweight", ".weight_packed"}) {
    if (name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  }
  return {};
}

bool FolderTensors::is_part_of_quantized(std::string_view name) const {
  const auto has = [this](std::string_view module, std::string_view ending,
                          std::string_view dtype) {
    const FolderTensor* codes = find(std::string(module) + std::string(ending));
    return codes != nullptr && codes->dtype == dtype;
  };
  struct Part {
    std::string_view ending;
    std::string_view codes;
    std::string_view dtype;
  };
  static constexpr Part kParts[] = {
      {".scales", ".weight", "U32"},
      {".biases", ".weight", "U32"},
      {".weight_scale_inv", ".weight", "F8_E4M3"},
      {".weight_scale", ".weight", "F8_E4M3"},
      {".scales", ".qweight", "I32"},
      {".qzeros", ".qweight", "I32"},
      {".g_idx", ".qweight", "I32"},
      {".weight_scale", ".weight_packed", "I32"},
      {".weight_shape", ".weight_packed", "I32"},
      {".weight_zero_point", ".weight_packed", "I32"},
      {".weight_g_idx", ".weight_packed", "I32"},
  };
  return std::ranges::any_of(kParts, [&](const Part& part) {
    return name.ends_with(part.ending) &&
           has(name.substr(0, name.size() - part.ending.size()), part.codes, part.dtype);
  });
}

Result<WeightSource> FolderTensors::float8(const std::string& name, const FolderTensor& codes,
                                           const ConfigReader& config) const {
  MINERVA_ASSIGN(auto how, read_float8_quantization(config));
  if (!how) {
    return bad_tensor(name,
                      "its weights are 8-bit floats, and config.json has no quantization_config of "
                      "the method fp8");
  }
  const FolderTensor* scales = find(name + how->scales);
  if (scales == nullptr)
    return bad_tensor(
        name, fmt::format("it is of 8-bit floats, and {}{} is missing", shown(name), how->scales));
  WeightSource out;
  out.form = WeightSource::Form::Float8;
  out.type = DType::BF16;
  const auto type = float_type(scales->dtype);
  if (codes.shape.size() != 2 || !set_shape(out, codes.shape) || !type) {
    return bad_tensor(name,
                      fmt::format("it is F8_E4M3 [{}] with scales of {}; wanted are two dimensions "
                                  "and scales of F32, F16 or BF16",
                                  fmt::join(codes.shape, ", "), scales->dtype));
  }
  if (how->block_rows == 0) {
    const bool one = scales->shape.empty() || scales->shape == std::vector<std::uint64_t>{1};
    how->block_rows = one ? out.rows : 1;
    how->block_cols = out.cols;
  }
  const std::vector<std::uint64_t> wanted = {(out.rows - 1) / how->block_rows + 1,
                                             (out.cols - 1) / how->block_cols + 1};
  std::vector<std::uint64_t> given = scales->shape;
  given.resize(std::max<std::size_t>(given.size(), 2), 1);
  if (given != wanted) {
    return bad_tensor(
        name, fmt::format("it is [{}] in tiles of {} x {}, which wants scales of [{}]; they "
                          "are [{}]",
                          fmt::join(codes.shape, ", "), how->block_rows, how->block_cols,
                          fmt::join(wanted, ", "), fmt::join(scales->shape, ", ")));
  }
  out.float8 = {how->block_rows, how->block_cols, *type, codes.bytes, scales->bytes};
  return out;
}

Result<WeightSource> FolderTensors::packed(const std::string& module, const FolderTensor& codes,
                                           const ConfigReader& config) const {
  MINERVA_ASSIGN(const auto how, read_packed_quantization(config));
  if (!how) {
    return bad_tensor(module,
                      "its weights are packed, and config.json has no quantization_config of "
                      "the methods gptq, awq and compressed-tensors");
  }
  const bool rows = how->layout == Layout::Rows;
  const FolderTensor* scales = find(module + (rows ? ".weight_scale" : ".scales"));
  const FolderTensor* zeros = find(module + (rows ? ".weight_zero_point" : ".qzeros"));
  const FolderTensor* index = find(module + (rows ? ".weight_g_idx" : ".g_idx"));
  if (scales == nullptr || (zeros == nullptr && !rows))
    return bad_tensor(module, "its weights are packed, and its scales or zeros are missing");
  WeightSource out;
  PackedSource& p = out.packed;
  p.layout = how->layout;
  p.bits = how->bits;
  p.zeros_less_one = how->zeros_less_one;
  const std::uint64_t n = p.per_word();
  const auto refuse = [&](std::string_view why) {
    return bad_tensor(module, fmt::format("its codes are {} [{}] and its scales {} [{}]: {}",
                                          codes.dtype, fmt::join(codes.shape, ", "), scales->dtype,
                                          fmt::join(scales->shape, ", "), why));
  };
  const auto type = float_type(scales->dtype);
  if (codes.dtype != "I32" || !type || codes.shape.size() != 2 || scales->shape.size() != 2)
    return refuse("wanted are I32 and F32, F16 or BF16 of two dimensions");
  // Which of the two dimensions holds several in a word.
  const bool words_of_inputs = how->layout != Layout::Awq;
  const std::size_t inputs_at = rows ? 1 : 0;
  const auto inputs = checked_mul(codes.shape[inputs_at], words_of_inputs ? n : 1);
  const auto outputs = checked_mul(codes.shape[1 - inputs_at], words_of_inputs ? 1 : n);
  if (!inputs || !outputs || !set_shape(out, {*outputs, *inputs}))
    return refuse("that makes no sense");
  p.inputs = *inputs;
  p.outputs = *outputs;
  p.group = how->group == 0 ? p.inputs : how->group;
  if (p.group % kBlock != 0 || p.inputs % p.group != 0)
    return refuse(
        fmt::format("{} inputs in groups of {}, which must be of whole groups of a multiple "
                    "of {}",
                    p.inputs, p.group, kBlock));
  const std::vector<std::uint64_t> wanted_scales =
      rows ? std::vector{p.outputs, p.groups()} : std::vector{p.groups(), p.outputs};
  if (scales->shape != wanted_scales)
    return refuse(fmt::format("wanted are scales of [{}]", fmt::join(wanted_scales, ", ")));
  if (zeros != nullptr) {
    const std::uint64_t words = (p.outputs + n - 1) / n;
    const std::vector<std::uint64_t> wanted =
        rows ? std::vector{words, p.groups()} : std::vector{p.groups(), words};
    if (zeros->dtype != "I32" || zeros->shape != wanted || p.outputs % n != 0) {
      return refuse(fmt::format("wanted are zeros of I32 [{}], {} a word; they are {} [{}]",
                                fmt::join(wanted, ", "), n, zeros->dtype,
                                fmt::join(zeros->shape, ", ")));
    }
    p.zeros = zeros->bytes;
  }
  if (index != nullptr) {
    if (index->dtype != "I32" || index->shape != std::vector{p.inputs})
      return refuse(fmt::format("wanted is an index of groups of I32 [{}]", p.inputs));
    if (const auto at = first_out_of_order(index->bytes, p.group)) {
      return fail(
          ErrorCode::Unsupported,
          fmt::format("tensor {}: input {} is not of the group of its neighbours (desc_act, "
                      "actorder); such weights have no place in our engine's blocks",
                      shown(module), *at),
          shown(module));
    }
  }
  p.scale_type = *type;
  p.codes = codes.bytes;
  p.scales = scales->bytes;
  const bool symmetric = p.is_symmetric();
  if (symmetric) p.zeros = {};
  out.form = WeightSource::Form::Packed;
  out.type = packed_type(p, symmetric);
  return out;
}

}  // namespace minerva::models
