// Tiny models of gemma4, for tiny_arch(): layers of two kinds in turn.
#pragma once

#include <string_view>

#include "formats/dtype.h"
#include "support/gguf_writer.h"

namespace minerva::test {

// Without experts: layers with inputs, the last two without keys and values of their own. With
// them: as in the large model, and layers that see all make their values of what keys are made of.
GgufWriter tiny_gemma4(bool experts, formats::DType type, std::string_view left_out);

}  // namespace minerva::test
