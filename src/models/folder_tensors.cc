#include "models/folder_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/checked.h"
#include "formats/dequantize.h"
#include "formats/safetensors.h"
#include "models/folder_weights.h"
#include "models/tensor_checks.h"

namespace minerva::models {
namespace {

using formats::DType;

constexpr std::uint64_t kBlock = 32;
constexpr std::uint64_t kMxBlockBytes = 16;

}  // namespace

Result<MlxQuantization> read_mlx_quantization(const ConfigReader& config, std::string_view module) {
  const nlohmann::json* all = config.object("quantization");
  if (all == nullptr) return MlxQuantization{};
  const ConfigReader everywhere(*all, config.where() + ": quantization");
  const nlohmann::json* one = module.empty() ? nullptr : everywhere.object(module);
  const ConfigReader here(one == nullptr ? *all : *one, everywhere.where());
  MlxQuantization out;
  // A module with figures of its own is affine where these name no mode, whatever the others are.
  MINERVA_ASSIGN(out.mode, here.text_or("mode", "affine"));
  MINERVA_ASSIGN(out.bits, here.count("bits"));
  MINERVA_ASSIGN(out.group, here.count("group_size"));
  static constexpr std::array kBits = {2U, 3U, 4U, 5U, 6U, 8U};
  const bool affine = out.mode == "affine" && std::ranges::count(kBits, out.bits) != 0 &&
                      out.group % kBlock == 0 && out.group <= 1024;
  const bool mx = out.mode == "mxfp4" && out.bits == 4 && out.group == kBlock;
  if (affine || mx) return out;
  return fail(ErrorCode::Unsupported,
              fmt::format("{}: quantization of {} bits, mode {}, groups of {}: supported are mode "
                          "affine with 2, 3, 4, 5, 6 and 8 bits in groups of 32, 64 and 128, and "
                          "mxfp4 with groups of 32",
                          config.where(), out.bits, shown(out.mode), out.group),
              "quantization");
}

const FolderTensor* FolderTensors::find(std::string_view name) const {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : &at->second;
}

Result<FolderTensors> FolderTensors::open(const ModelFolder& folder) {
  MINERVA_ASSIGN(const FolderWeights weights, read_folder_weights(folder));
  FolderTensors out;
  for (const std::string& name : weights.files) {
    const std::string path = folder.path() + '/' + name;
    MINERVA_ASSIGN(auto mapping, MappedFile::open(path));
    auto header = formats::parse_safetensors(mapping->bytes());
    if (!header) return fail(std::move(header).error().in(path));
    for (formats::SafetensorsTensor& tensor : header->tensors) {
      FolderTensor entry{std::move(tensor.dtype), std::move(tensor.shape),
                         mapping->bytes().subspan(tensor.offset, tensor.bytes)};
      if (!out.tensors_.emplace(tensor.name, std::move(entry)).second) {
        return fail(ErrorCode::InvalidModel,
                    fmt::format("{}: tensor {} is in two of its {} files", path, shown(tensor.name),
                                weights.files.size()));
      }
    }
    out.mappings_.push_back(std::move(mapping));
  }
  return out;
}

Result<WeightSource> FolderTensors::source(const std::string& name,
                                           const ConfigReader& config) const {
  const FolderTensor* tensor = find(name);
  if (tensor == nullptr) return bad_tensor(name, "it is missing");
  if (tensor->dtype == "U32" && name.ends_with(".weight"))
    return quantized(name.substr(0, name.size() - 7), *tensor, config);
  if (tensor->dtype == "F8_E4M3") return float8(name, *tensor, config);
  if (const auto module = module_of_codes(name); !module.empty())
    return packed(std::string(module), *tensor, config);
  const auto type = float_type(tensor->dtype);
  if (!type) {
    return fail(ErrorCode::Unsupported,
                fmt::format("tensor {} is of type {}; F32, F16 and BF16 are supported", shown(name),
                            tensor->dtype),
                shown(name));
  }
  WeightSource out;
  out.type = *type;
  out.plain = tensor->bytes;
  if (!set_shape(out, tensor->shape)) {
    return bad_tensor(
        name, fmt::format("its shape is [{}]; one to four dimensions from 1 on are supported",
                          fmt::join(tensor->shape, ", ")));
  }
  return out;
}

Result<float> FolderTensors::number(const std::string& name) const {
  const FolderTensor* tensor = find(name);
  if (tensor == nullptr) return bad_tensor(name, "it is missing");
  const auto type = float_type(tensor->dtype);
  if (!type || tensor->bytes.size() != formats::dtype_info(*type).block_bytes) {
    return bad_tensor(name, fmt::format("it is {} [{}]; one value of F32, F16 or BF16 was expected",
                                        tensor->dtype, fmt::join(tensor->shape, ", ")));
  }
  float value = 0;
  formats::dequantize(*type, tensor->bytes.data(), &value, 1);
  return value;
}

Result<WeightSource> FolderTensors::quantized(const std::string& module, const FolderTensor& codes,
                                              const ConfigReader& config) const {
  MINERVA_ASSIGN(const MlxQuantization how, read_mlx_quantization(config, module));
  if (how.bits == 0)
    return bad_tensor(module,
                      "its weights are of type U32, and config.json has no key quantization");
  const FolderTensor* scales = find(module + ".scales");
  if (scales == nullptr)
    return bad_tensor(module, "its weights are quantised, and .scales is missing");
  WeightSource out;
  std::vector<std::uint64_t> shape = scales->shape;
  const auto cols =
      shape.empty() ? std::nullopt : checked_mul<std::uint64_t>(shape.back(), how.group);
  if (!cols) return bad_tensor(module, "the shape of its .scales makes no sense");
  shape.back() = *cols;
  if (!set_shape(out, shape)) return bad_tensor(module, "the shape of its .scales makes no sense");
  const auto bits = checked_mul<std::uint64_t>(out.cols, how.bits);
  const bool same_rows = codes.shape.size() == shape.size() &&
                         std::equal(codes.shape.begin(), codes.shape.end() - 1, shape.begin());
  if (!bits || !same_rows || *bits != codes.shape.back() * 32) {
    return bad_tensor(
        module,
        fmt::format("its weights are [{}] and its scales [{}], which does not fit {} bits in "
                    "groups of {}",
                    fmt::join(codes.shape, ", "), fmt::join(scales->shape, ", "), how.bits,
                    how.group));
  }
  if (how.mode == "mxfp4") {
    if (scales->dtype != "U8") return bad_tensor(module, "the scales of mxfp4 must be of type U8");
    out.form = WeightSource::Form::Mx;
    out.type = DType::MXFP4;
    out.mx = {codes.bytes, scales->bytes};
    return out;
  }
  const FolderTensor* biases = find(module + ".biases");
  const auto type = float_type(scales->dtype);
  if (biases == nullptr || biases->shape != scales->shape || biases->dtype != scales->dtype) {
    return bad_tensor(module, "its .biases are missing or unlike its .scales");
  }
  if (!type) return bad_tensor(module, fmt::format("its scales are of type {}", scales->dtype));
  out.form = WeightSource::Form::Affine;
  out.type = affine_type(how.bits, *type);
  out.affine = {how.bits, how.group, *type, codes.bytes, scales->bytes, biases->bytes};
  return out;
}

Result<WeightSource> FolderTensors::mx_source(const std::string& blocks,
                                              const std::string& scales) const {
  const FolderTensor* codes = find(blocks);
  const FolderTensor* exponents = find(scales);
  if (codes == nullptr || exponents == nullptr)
    return bad_tensor(blocks, "it or its scales are missing");
  WeightSource out;
  std::vector<std::uint64_t> shape = exponents->shape;
  const auto cols = shape.empty() ? std::nullopt : checked_mul<std::uint64_t>(shape.back(), kBlock);
  std::vector<std::uint64_t> wanted = exponents->shape;
  wanted.push_back(kMxBlockBytes);
  if (!cols || codes->shape != wanted || codes->dtype != "U8" || exponents->dtype != "U8") {
    return bad_tensor(blocks,
                      fmt::format("it is {} [{}] and its scales are {} [{}]; wanted are U8 [{}]",
                                  codes->dtype, fmt::join(codes->shape, ", "), exponents->dtype,
                                  fmt::join(exponents->shape, ", "), fmt::join(wanted, ", ")));
  }
  shape.back() = *cols;
  if (!set_shape(out, std::move(shape))) return bad_tensor(blocks, "its shape makes no sense");
  out.form = WeightSource::Form::Mx;
  out.type = DType::MXFP4;
  out.mx = {codes->bytes, exponents->bytes};
  return out;
}

}  // namespace minerva::models
