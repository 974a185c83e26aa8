#include "engine/pack.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/checked.h"
#include "engine/pack_blocks.h"

namespace minerva::engine {
namespace {

using formats::DType;
using kernels::kBlock;
using kernels::kSuperBlock;

// Where the planes of a quantised matrix lie in its allocation, each on its own cache line.
struct Planes {
  std::size_t total = 0;
  std::size_t codes, scales, minimum, sub_scales, sub_minimum;

  Planes(const kernels::KindTraits& kind, std::size_t padded, std::size_t cols) {
    const std::size_t scale_count = padded * (cols / (kind.super ? kSuperBlock : kBlock));
    const std::size_t sub_count = kind.super ? padded * (cols / kind.sub) : 0;
    codes = add(padded * cols / (kind.wide_codes ? 1 : 2));
    const std::size_t scale_bytes = scale_count * kernels::bytes_of(kind.scales);
    scales = add(scale_bytes);
    minimum = add(kind.minimum ? scale_bytes : 0);
    sub_scales = add(sub_count);
    sub_minimum = add(kind.minimum ? sub_count : 0);
  }

 private:
  std::size_t add(std::size_t bytes) {
    const std::size_t at = total;
    total += (bytes + AlignedBuffer::kAlignment - 1) & ~(AlignedBuffer::kAlignment - 1);
    return at;
  }
};

// What one matrix of a stack takes, so that the next begins on a cache line.
std::size_t stacked_bytes(std::size_t bytes) {
  return (bytes + AlignedBuffer::kAlignment - 1) & ~(AlignedBuffer::kAlignment - 1);
}

kernels::FloatKind float_kind(DType type, PackMode mode) {
  if (mode == PackMode::Native && type == DType::F16) return kernels::FloatKind::F16;
  if (mode == PackMode::Native && type == DType::BF16) return kernels::FloatKind::BF16;
  return kernels::FloatKind::F32;
}

std::size_t float_bytes(kernels::FloatKind kind) {
  return kind == kernels::FloatKind::F32 ? sizeof(float) : sizeof(std::uint16_t);
}

// Weights that the product itself multiplies as floats.
bool is_float(DType type) {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16;
}

Result<void> check_shape(DType type, std::size_t size, std::size_t rows, std::size_t cols) {
  const formats::DTypeInfo& info = formats::dtype_info(type);
  if (!info.decodable) {
    return fail(ErrorCode::Unsupported,
                fmt::format("weights of type {} cannot be computed with", info.name));
  }
  if (rows == 0 || cols == 0 || cols % info.block != 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("a matrix of {} x {} {} weights: the row length must be a positive "
                            "multiple of {}",
                            rows, cols, info.name, info.block));
  }
  const auto row_bytes = checked_mul<std::size_t>(cols / info.block, info.block_bytes);
  const auto expected = row_bytes ? checked_mul(*row_bytes, rows) : std::nullopt;
  if (!expected || *expected != size) {
    return fail(
        ErrorCode::InvalidModel,
        fmt::format("a matrix of {} x {} {} weights takes {} bytes, but {} are there", rows, cols,
                    info.name, expected ? fmt::to_string(*expected) : "too many", size));
  }
  return {};
}

}  // namespace

Result<PackedWeight> PackedWeight::describe(DType type, std::size_t bytes, std::size_t rows,
                                            std::size_t cols, PackMode mode) {
  MINERVA_TRY(check_shape(type, bytes, rows, cols));
  PackedWeight out;
  out.type_ = type;
  out.rows_ = rows;
  out.cols_ = cols;
  const std::size_t padded = out.rows_padded();
  // The file's own bytes bound rows * cols: no packed plane is more than 16 times as large, and a
  // matrix of fewer than 16 rows is padded at most 16 times. Neither product can wrap.
  MINERVA_CHECK(checked_mul<std::size_t>(padded * sizeof(float), cols).has_value());
  out.bytes_ = static_cast<std::size_t>(bytes_for(type, rows, cols, mode));
  if (is_float(type) || mode == PackMode::Float32) {
    out.floats_ = {float_kind(type, mode), rows, padded, cols, nullptr};
    return out;
  }

  const PackRule* rule = find_pack_rule(type);
  MINERVA_CHECK(rule != nullptr);  // every decodable type has one (pack_test.cc)
  const kernels::KindTraits kind = kernels::traits(rule->kind);
  out.quantized_ = true;
  kernels::QuantMatrix& quant = out.quant_;
  quant.kind = rule->kind;
  quant.zero = rule->zero;
  quant.rows = rows;
  quant.rows_padded = padded;
  quant.cols = cols;
  for (std::size_t i = 0; kind.table && i < 16; ++i) {
    quant.table[i] =
        static_cast<std::uint8_t>(rule->table[i] + static_cast<std::int32_t>(rule->zero));
  }
  return out;
}

void PackedWeight::attach(std::byte* memory) {
  if (!quantized_) {
    floats_.values = memory;
    return;
  }
  kernels::QuantMatrix& quant = quant_;
  const kernels::KindTraits kind = kernels::traits(quant.kind);
  const Planes planes(kind, quant.rows_padded, cols_);
  auto* base = reinterpret_cast<std::uint8_t*>(memory);
  quant.codes = base + planes.codes;
  quant.scales = base + planes.scales;
  if (kind.minimum) quant.minimum = base + planes.minimum;
  if (kind.super) quant.sub_scales = base + planes.sub_scales;
  if (kind.super && kind.minimum) quant.sub_minimum = base + planes.sub_minimum;
}

Result<PackedWeight> PackedWeight::prepare(DType type, std::span<const std::byte> bytes,
                                           std::size_t rows, std::size_t cols, PackMode mode) {
  MINERVA_ASSIGN(PackedWeight out, describe(type, bytes.size(), rows, cols, mode));
  MINERVA_ASSIGN(out.memory_, AlignedBuffer::allocate(out.bytes_));
  out.attach(out.memory_.data());
  return out;
}

Result<std::vector<PackedWeight>> PackedWeight::prepare_stack(DType type, std::size_t bytes,
                                                              std::size_t rows, std::size_t cols,
                                                              PackMode mode, std::size_t count,
                                                              AlignedBuffer& memory) {
  std::vector<PackedWeight> stack;
  stack.reserve(count);
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    MINERVA_ASSIGN(PackedWeight each, describe(type, bytes, rows, cols, mode));
    total += stacked_bytes(each.bytes_);
    stack.push_back(std::move(each));
  }
  MINERVA_ASSIGN(memory, AlignedBuffer::allocate(total));
  std::byte* at = memory.data();
  for (PackedWeight& each : stack) {
    each.attach(at);
    at += stacked_bytes(each.bytes_);
  }
  return stack;
}

Result<PackedWeight> PackedWeight::pack(DType type, std::span<const std::byte> bytes,
                                        std::size_t rows, std::size_t cols, PackMode mode) {
  MINERVA_ASSIGN(PackedWeight out, prepare(type, bytes, rows, cols, mode));
  out.pack_panels(bytes, 0, out.panels());
  return out;
}

std::uint64_t PackedWeight::bytes_for(DType type, std::size_t rows, std::size_t cols,
                                      PackMode mode) {
  const formats::DTypeInfo& info = formats::dtype_info(type);
  if (!info.decodable || rows == 0 || cols % info.block != 0) return 0;
  const std::size_t padded =
      (rows + kernels::kPanelRows - 1) / kernels::kPanelRows * kernels::kPanelRows;
  if (!checked_mul<std::size_t>(padded * sizeof(float), cols)) return 0;
  if (is_float(type) || mode == PackMode::Float32) {
    return padded * cols * float_bytes(float_kind(type, mode));
  }
  return Planes(kernels::traits(find_pack_rule(type)->kind), padded, cols).total;
}

std::size_t PackedWeight::activation_group() const {
  if (!quantized_) return 0;
  return kernels::traits(quant_.kind).super ? kSuperBlock : kBlock;
}

}  // namespace minerva::engine
