// A small BERT with random weights, written by code: enough to run the encoder's whole graph in
// milliseconds. The same settings give the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/dtype.h"
#include "support/gguf_writer.h"

namespace minerva::test {

struct TinyEncoder {
  formats::DType type = formats::DType::F32;  // of the matrices; all else is F32
  std::size_t layers = 2;
  std::size_t width = 64;
  std::size_t heads = 4;
  std::size_t ff_width = 96;
  std::size_t context = 64;
  std::uint32_t pooling = 1;  // as GGUF numbers it
  std::uint64_t seed = 1;
  bool normalize = true;
};

// The vocabulary is byte_vocab()'s: ids 0 to 255 are the bytes.
inline constexpr std::size_t kTinyEncoderVocabulary = 261;

// Metadata, vocabulary and weights; ready to be written or changed.
GgufWriter tiny_encoder(const TinyEncoder& settings);

}  // namespace minerva::test
