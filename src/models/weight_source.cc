#include "models/weight_source.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "formats/dequantize.h"
#include "formats/float8.h"
#include "formats/quantize.h"
#include "models/affine_block.h"

namespace minerva::models {
namespace {

using formats::DType;

constexpr std::uint64_t kBlock = kAffineBlock;
constexpr std::uint64_t kMxCodeBytes = 16;

float float_at(DType type, std::span<const std::byte> values, std::uint64_t index) {
  const std::uint64_t size = formats::dtype_info(type).block_bytes;
  float out = 0;
  formats::dequantize(type, values.data() + index * size, &out, 1);
  return out;
}

// 32 codes, which begin at a whole byte: 4 * bits of them.
void read_codes(const std::byte* from, unsigned bits, AffineCodes& out) {
  const auto mask = (1U << bits) - 1;
  for (unsigned j = 0; j < kBlock; ++j) {
    const unsigned bit = j * bits;
    unsigned pair = std::to_integer<unsigned>(from[bit / 8]);
    if (bit % 8 + bits > 8) pair |= std::to_integer<unsigned>(from[bit / 8 + 1]) << 8;
    out[j] = static_cast<std::uint8_t>((pair >> (bit % 8)) & mask);
  }
}

void affine_row(const WeightSource& source, std::uint64_t row, std::byte* out) {
  const AffineSource& a = source.affine;
  const std::uint64_t groups = source.cols / a.group;
  const std::byte* codes = a.codes.data() + row * (source.cols * a.bits / 8);
  const std::uint64_t block_bytes = formats::dtype_info(source.type).block_bytes;
  AffineCodes values;
  for (std::uint64_t b = 0; b < source.cols / kBlock; ++b, out += block_bytes) {
    read_codes(codes + b * 4 * a.bits, a.bits, values);
    const std::uint64_t group = row * groups + b * kBlock / a.group;
    if (affine_number_bytes(source.type) == 2) {
      put_affine_block(source.type, a.scales.data() + 2 * group, a.biases.data() + 2 * group,
                       a.bits, values, out);
      continue;
    }
    const float scale = float_at(a.scale_type, a.scales, group);
    const float bias = float_at(a.scale_type, a.biases, group);
    put_affine_block(source.type, &scale, &bias, a.bits, values, out);
  }
}

void mx_row(const WeightSource& source, std::uint64_t row, std::byte* out) {
  const std::uint64_t blocks = source.cols / kBlock;
  AffineCodes values;
  for (std::uint64_t b = 0; b < blocks; ++b, out += 1 + kMxCodeBytes) {
    const std::uint64_t at = row * blocks + b;
    out[0] = source.mx.scales[at];
    read_codes(source.mx.codes.data() + at * kMxCodeBytes, 4, values);
    put_nibbles(values, out + 1);
  }
}

void float8_row(const WeightSource& source, std::uint64_t row, std::byte* out) {
  const Float8Source& f = source.float8;
  const std::uint64_t tiles = (source.cols + f.block_cols - 1) / f.block_cols;
  const std::byte* codes = f.codes.data() + row * source.cols;
  std::array<float, kBlock> values;
  for (std::uint64_t tile = 0; tile < tiles; ++tile) {
    const float scale = float_at(f.scale_type, f.scales, row / f.block_rows * tiles + tile);
    const std::uint64_t end = std::min(source.cols, (tile + 1) * f.block_cols);
    for (std::uint64_t begin = tile * f.block_cols; begin < end; begin += kBlock) {
      const std::uint64_t count = std::min(kBlock, end - begin);
      for (std::uint64_t i = 0; i < count; ++i) {
        const auto bits = std::to_integer<std::uint8_t>(codes[begin + i]);
        values[i] = formats::e4m3_to_float(bits) * scale;
      }
      formats::quantize(DType::BF16, values.data(), out + 2 * begin, count);
    }
  }
}

}  // namespace

formats::DType affine_type(unsigned bits, DType scale_type) {
  const bool brain = scale_type == DType::BF16;
  if (bits > 4) return brain ? DType::AFFINE8_BF16 : DType::AFFINE8;
  if (scale_type == DType::F16) return DType::Q4_1;
  return brain ? DType::AFFINE4_BF16 : DType::AFFINE4;
}

std::uint64_t WeightSource::row_bytes() const {
  const formats::DTypeInfo& info = formats::dtype_info(type);
  return cols / info.block * info.block_bytes;
}

void WeightSource::read_row(std::uint64_t row, std::byte* out) const {
  switch (form) {
    case Form::Plain:
      std::memcpy(out, plain.data() + row * row_bytes(), row_bytes());
      return;
    case Form::Affine:
      return affine_row(*this, row, out);
    case Form::Mx:
      return mx_row(*this, row, out);
    case Form::Float8:
      return float8_row(*this, row, out);
    case Form::Packed:
      return packed.read_row(row, type, out);
  }
}

std::vector<std::span<const std::byte>> WeightSource::views() const {
  switch (form) {
    case Form::Plain:
      return {plain};
    case Form::Affine:
      return {affine.codes, affine.scales, affine.biases};
    case Form::Mx:
      return {mx.codes, mx.scales};
    case Form::Float8:
      return {float8.codes, float8.scales};
    case Form::Packed:
      if (packed.zeros.empty()) return {packed.codes, packed.scales};
      return {packed.codes, packed.scales, packed.zeros};
  }
  return {};
}

std::uint64_t RowOrder::count(std::uint64_t rows) const {
  if (kind == Kind::Half) return rows / 2;
  if (kind == Kind::Heads) return rows / step * taken;
  if (kind == Kind::Listed) return this->rows.size();
  if (kind != Kind::Every) return rows;
  return rows <= first ? 0 : (rows - first + step - 1) / step;
}

std::uint64_t RowOrder::source_row(std::uint64_t row) const {
  switch (kind) {
    case Kind::Same:
      return row;
    case Kind::Interleave: {
      const std::uint64_t in_head = row % head_dim;
      return row - in_head + in_head / 2 + in_head % 2 * (head_dim / 2);
    }
    case Kind::Heads: {
      const std::uint64_t head = row / head_dim;
      const std::uint64_t in_head = row % head_dim;
      const std::uint64_t at = interleaved ? in_head / 2 + in_head % 2 * (head_dim / 2) : in_head;
      return (head / taken * step + first + head % taken) * head_dim + at;
    }
    case Kind::Every:
      return first + row * step;
    case Kind::Half:
      return row / (step / 2) * step + first + row % (step / 2);
    case Kind::Listed:
      return rows[row];
  }
  return row;
}

SourceRows::SourceRows(std::vector<WeightSource> pieces, RowOrder order,
                       std::vector<std::uint32_t> columns)
    : pieces_(std::move(pieces)),
      order_(std::move(order)),
      columns_(std::move(columns)),
      rows_each_(order_.count(pieces_.front().rows)),
      row_bytes_(pieces_.front().row_bytes()) {}

void SourceRows::read(std::uint64_t first, std::span<std::byte> out) const {
  MINERVA_CHECK(out.size() % row_bytes_ == 0);
  std::byte* to = out.data();
  std::vector<std::byte> plain(columns_.empty() ? 0 : row_bytes_);
  for (std::uint64_t i = 0; i < out.size() / row_bytes_; ++i, to += row_bytes_) {
    const std::uint64_t row = first + i;
    pieces_[row / rows_each_].read_row(order_.source_row(row % rows_each_),
                                       columns_.empty() ? to : plain.data());
    const std::uint64_t bytes = columns_.empty() ? 0 : row_bytes_ / columns_.size();
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      std::memcpy(to + c * bytes, plain.data() + columns_[c] * bytes, bytes);
    }
  }
}

std::vector<std::span<const std::byte>> SourceRows::sources() const {
  std::vector<std::span<const std::byte>> out;
  for (const WeightSource& piece : pieces_) {
    for (const auto view : piece.views()) out.push_back(view);
  }
  return out;
}

}  // namespace minerva::models
