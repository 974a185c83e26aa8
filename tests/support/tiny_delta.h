// Tiny models with gated delta rules, for tiny_arch(): four layers, of which the second attends.
#pragma once

#include <cstddef>
#include <string_view>

#include "formats/dtype.h"
#include "support/gguf_writer.h"

namespace minerva::test {

struct TinyDelta {
  std::string_view architecture = "qwen35";  // or qwen3next or qwen35moe
  formats::DType type = formats::DType::Q8_0;
  std::string_view left_out = {};
  // Of qwen3next: the tensors that its first files had, with the same values.
  bool old_names = false;
  std::size_t vocabulary = 80;
  bool attends = true;  // else the second layer is as the others
};
GgufWriter tiny_delta(const TinyDelta& settings);

}  // namespace minerva::test
