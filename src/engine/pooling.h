// From a text's hidden states to its one vector, as the model's metadata says.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "formats/gguf.h"

namespace minerva::engine {

enum class Pooling : std::uint8_t {
  Mean,  // of all tokens
  Cls,   // the first token's
  Last,  // the last token's
};
std::string_view to_string(Pooling pooling);

// `<architecture>.pooling_type`, numbered as GGUF has it; nothing where it is missing or "none".
// Unsupported: a model that ranks (it gives a score, not a vector), or another number.
Result<std::optional<Pooling>> read_pooling(const formats::GgufFile& file,
                                            std::string_view architecture);

// `<architecture>.normalize_embeddings`: whether vectors are scaled to length 1, which those of
// nearly every model are. A missing key means yes.
Result<bool> read_normalize(const formats::GgufFile& file, std::string_view architecture);

// Scales to length 1; zeros stay zeros. The same bits on every machine: plain doubles, in order.
void normalize(std::span<float> values);

}  // namespace minerva::engine
