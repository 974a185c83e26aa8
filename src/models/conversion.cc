#include "models/conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <new>
#include <utility>
#include <vector>

#include "formats/dequantize.h"
#include "formats/gguf_writer.h"
#include "formats/quantize.h"
#include "models/folder_model.h"
#include "models/gguf_vocabulary.h"
#include "models/vocabulary_cache.h"

namespace minerva::models {
namespace {

using formats::DType;
using formats::GgufTensor;

constexpr std::uint64_t kPieceWeights = std::uint64_t{4} << 20;

bool is_own(DType type) {
  return std::ranges::find(formats::own_dtypes(), type, &formats::DTypeInfo::type) !=
         formats::own_dtypes().end();
}

// Which type a tensor gets. What is small or sensitive stays F32, as it is made; rows that no block
// divides get F16; and the vocabulary's matrices are not cut down to 4 bits.
Result<DType> target_type(const GgufTensor& tensor, const std::optional<DType>& wanted) {
  if (tensor.n_dims == 1 || tensor.name.ends_with("_norm.weight") ||
      tensor.name.contains("ffn_gate_inp") || tensor.name.ends_with("ssm_conv1d.weight") ||
      tensor.name.ends_with("shortconv.conv.weight") || tensor.name == "position_embd.weight" ||
      tensor.name == "token_types.weight" || tensor.name.ends_with(".bias"))
    return DType::F32;
  if (!wanted) {
    if (!is_own(tensor.type)) return tensor.type;
    return fail(ErrorCode::InvalidArgument,
                fmt::format("tensor {} is quantised as MLX does it, for which GGUF has no type: "
                            "choose one by --type (q8_0, f16, bf16, f32, q4_0)",
                            tensor.name),
                "--type");
  }
  // 4-bit floats of experts: nothing holds them better.
  if (tensor.type == DType::MXFP4) return tensor.type;
  DType type = *wanted;
  const bool vocabulary = tensor.name == "token_embd.weight" || tensor.name == "output.weight";
  if (type == DType::Q4_0 && vocabulary) type = DType::Q8_0;
  if (tensor.dims[0] % formats::dtype_info(type).block != 0) type = DType::F16;
  return type;
}

// LLAMA_FTYPE's number for the type that most weights have; readers show it and do not need it.
std::uint32_t file_type(DType type) {
  switch (type) {
    case DType::F16:
      return 1;
    case DType::Q4_0:
      return 2;
    case DType::Q4_1:
      return 3;
    case DType::Q8_0:
      return 7;
    case DType::BF16:
      return 32;
    default:
      return 0;
  }
}

// "135M", "1.5B": as files are labelled.
std::string size_label(std::uint64_t weights) {
  constexpr std::pair<double, const char*> kUnits[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}};
  const auto count = static_cast<double>(weights);
  for (const auto& [unit, letter] : kUnits) {
    if (count < unit) continue;
    const bool whole = count >= 10 * unit || letter[0] == 'M';
    return fmt::format("{:.{}f}{}", count / unit, whole ? 0 : 1, letter);
  }
  return fmt::format("{:.0f}K", count / 1e3);
}

std::uint32_t main_file_type(std::span<const formats::GgufTensorPlan> plan) {
  const formats::GgufTensorPlan* largest = nullptr;
  for (const formats::GgufTensorPlan& tensor : plan)
    if (largest == nullptr || tensor.bytes() > largest->bytes()) largest = &tensor;
  return largest == nullptr ? 0 : file_type(largest->type);
}

// One tensor, some rows at a time.
Result<void> copy_tensor(const GgufTensor& from, DType to, formats::GgufWriter& writer) {
  const std::uint64_t rows_at_once = std::max<std::uint64_t>(1, kPieceWeights / from.dims[0]);
  std::vector<float> floats;
  std::vector<std::byte> blocks;
  for (std::uint64_t row = 0; row < from.row_count(); row += rows_at_once) {
    const std::uint64_t rows = std::min(rows_at_once, from.row_count() - row);
    MINERVA_ASSIGN(const formats::TensorBytes piece, formats::read_rows(from, row, rows));
    if (to == from.type) {
      MINERVA_TRY(writer.write(piece.bytes));
      continue;
    }
    floats.resize(rows * from.dims[0]);
    formats::dequantize(from.type, piece.bytes.data(), floats.data(), floats.size());
    const formats::DTypeInfo& info = formats::dtype_info(to);
    blocks.resize(floats.size() / info.block * info.block_bytes);
    formats::quantize(to, floats.data(), blocks.data(), floats.size());
    MINERVA_TRY(writer.write(blocks));
  }
  return {};
}

}  // namespace

Result<ConversionReport> convert_model(const std::string& folder, const std::string& to,
                                       const ConversionOptions& options) try {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    return fail(
        ErrorCode::InvalidArgument,
        fmt::format("{} is no model folder: only Hugging Face and MLX folders are converted",
                    folder),
        "model");
  }
  MINERVA_ASSIGN(const auto model, open_model_folder(folder));
  MINERVA_ASSIGN(const auto vocabulary, load_vocabulary(folder));
  const GgufTensor* embedding = model->find_tensor("token_embd.weight");
  if (embedding == nullptr)
    return fail(ErrorCode::InvalidModel, fmt::format("{}: it has no embedding", folder));
  if (vocabulary->tokenizer->vocab_size() > embedding->dims[1]) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}: its tokenizer has {} tokens, and its embedding {} rows: the two "
                            "are not of the same model",
                            folder, vocabulary->tokenizer->vocab_size(), embedding->dims[1]),
                "tokenizer.json");
  }

  std::vector<formats::GgufTensorPlan> plan;
  std::uint64_t total = 0;
  for (const GgufTensor& tensor : model->tensors()) {
    MINERVA_ASSIGN(const DType type, target_type(tensor, options.type));
    plan.push_back({tensor.name, type, tensor.n_dims, tensor.dims});
    total += tensor.elements();
  }
  formats::GgufMetadata metadata;
  for (const formats::GgufKeyValue& entry : model->metadata()) metadata.add(entry.key, entry.value);
  metadata.add_string("general.type", "model");
  metadata.add_string("general.size_label", size_label(total));
  metadata.add_u32("general.file_type", main_file_type(plan));
  metadata.add_u32("general.quantization_version", 2);
  MINERVA_ASSIGN(std::vector<std::string> notes,
                 add_vocabulary_keys(folder, *vocabulary, embedding->dims[1], metadata));

  MINERVA_ASSIGN(const auto writer,
                 formats::GgufWriter::create(to, options.overwrite, metadata, plan));
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const GgufTensor& tensor = model->tensors()[i];
    MINERVA_TRY(copy_tensor(tensor, plan[i].type, *writer));
    model->forget(tensor);
    done += tensor.elements();
    if (options.progress) options.progress(done, total);
  }
  if (!model->intact())
    return fail(ErrorCode::InvalidModel, folder + " was cut short while it was read");
  MINERVA_TRY(writer->finish());
  ConversionReport report;
  MINERVA_ASSIGN(report.architecture, model->get_string_or("general.architecture", ""));
  report.tensors = plan.size();
  report.file_bytes = writer->file_bytes();
  report.notes = std::move(notes);
  return report;
} catch (const std::bad_alloc&) {
  return fail(ErrorCode::OutOfMemory, "out of memory");
}

}  // namespace minerva::models
