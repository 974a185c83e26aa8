// From a text's hidden states to its one vector, as the model's metadata says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

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

// `<architecture>.embedding_context_length`, which only Minerva writes: the tokens that the makers
// of a model for embeddings cut its texts off at. `context` where it is missing or larger.
Result<std::size_t> read_text_limit(const formats::GgufFile& file, std::string_view architecture,
                                    std::size_t context);

// `<architecture>.makes_text`, which only Minerva writes: false where a model was saved without the
// matrix that makes tokens.
Result<bool> read_makes_text(const formats::GgufFile& file, std::string_view architecture);

// The vector of one text whose hidden states come a few at a time, some of them more than once (a
// sequence that gave its pages away computes them again). A mean is summed in doubles in the order
// of the positions, so the pieces they come in change no bit.
class Pooler {
 public:
  Pooler(Pooling pooling, std::size_t width) : pooling_(pooling), sums_(width) {}

  // States come in order; one of a position before the next expected is known already.
  void add(std::size_t position, std::span<const float> state);
  // Of all that was added, at least one.
  std::vector<float> vector() const;

 private:
  Pooling pooling_;
  std::size_t next_ = 0;  // position
  std::vector<double> sums_;
};

// Scales to length 1; zeros stay zeros. The same bits on every machine: plain doubles, in order.
void normalize(std::span<float> values);

}  // namespace minerva::engine
