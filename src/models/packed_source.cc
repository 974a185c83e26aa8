#include "models/packed_source.h"

#include <array>
#include <cstring>

#include "formats/dequantize.h"
#include "formats/quantize.h"
#include "models/affine_block.h"
#include "models/weight_source.h"

namespace minerva::models {
namespace {

using formats::DType;

// Where AWQ puts the eight outputs of a word: output i in the nibble of this number.
constexpr std::array<unsigned, 8> kAwqNibbles = {0, 4, 1, 5, 2, 6, 3, 7};

std::uint32_t word_at(std::span<const std::byte> words, std::uint64_t index) {
  std::uint32_t out = 0;
  std::memcpy(&out, words.data() + 4 * index, 4);
  return out;
}

}  // namespace

unsigned PackedSource::zero(std::uint64_t output, std::uint64_t at) const {
  if (zeros.empty()) return half();
  const unsigned n = per_word();
  const std::uint64_t words = outputs / n;
  const auto place = static_cast<unsigned>(output % n);
  const bool rows = layout == Layout::Rows;
  const std::uint32_t word =
      word_at(zeros, rows ? output / n * groups() + at : at * words + output / n);
  const unsigned shift = bits * (layout == Layout::Awq ? kAwqNibbles[place] : place);
  return ((word >> shift) + (zeros_less_one ? 1U : 0U)) & ((1U << bits) - 1);
}

bool PackedSource::is_symmetric() const {
  if (zeros.empty()) return true;
  std::uint32_t wanted = 0;
  for (unsigned i = 0; i < per_word(); ++i)
    wanted |= (half() - (zeros_less_one ? 1U : 0U)) << (i * bits);
  for (std::uint64_t i = 0; i < zeros.size() / 4; ++i) {
    if (word_at(zeros, i) != wanted) return false;
  }
  return true;
}

void PackedSource::read_row(std::uint64_t output, DType type, std::byte* out) const {
  const unsigned n = per_word();
  const std::uint32_t mask = (1U << bits) - 1;
  const std::uint64_t scale_bytes = formats::dtype_info(scale_type).block_bytes;
  const std::uint64_t block_bytes = formats::dtype_info(type).block_bytes;
  const bool whole = affine_number_bytes(type) == 4;
  AffineCodes block;
  for (std::uint64_t first = 0; first < inputs; first += kAffineBlock, out += block_bytes) {
    for (std::uint64_t i = 0; i < kAffineBlock; ++i) {
      const std::uint64_t input = first + i;
      std::uint64_t word = 0;
      auto place = static_cast<unsigned>(input % n);
      if (layout == Layout::Gptq) word = input / n * outputs + output;
      if (layout == Layout::Rows) word = output * (inputs / n) + input / n;
      if (layout == Layout::Awq) {
        word = input * (outputs / n) + output / n;
        place = kAwqNibbles[output % n];
      }
      block[i] = static_cast<std::uint8_t>((word_at(codes, word) >> (place * bits)) & mask);
    }
    const std::uint64_t at = first / group;
    const std::uint64_t index =
        layout == Layout::Rows ? output * groups() + at : at * outputs + output;
    float scale = 0;
    formats::dequantize(scale_type, scales.data() + index * scale_bytes, &scale, 1);
    const float bias = -static_cast<float>(zero(output, at)) * scale;
    if (whole) {
      put_affine_block(type, &scale, &bias, bits, block, out);
      continue;
    }
    // packed_type() has seen to it that the bias is such a number.
    std::array<std::byte, 2> short_bias;
    formats::quantize(scale_type, &bias, short_bias.data(), 1);
    put_affine_block(type, scales.data() + index * scale_bytes, short_bias.data(), bits, block,
                     out);
  }
}

DType packed_type(const PackedSource& source, bool symmetric) {
  // A power of two times a scale is exact in the scale's own type, other products are not.
  return affine_type(source.bits, symmetric ? source.scale_type : DType::F32);
}

}  // namespace minerva::models
