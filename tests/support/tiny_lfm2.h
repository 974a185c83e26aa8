// Tiny models of lfm2 and lfm2moe, for tiny_arch(): four layers, of which the second attends.
#pragma once

#include <string_view>

#include "formats/dtype.h"
#include "support/gguf_writer.h"

namespace minerva::test {

GgufWriter tiny_lfm2(bool experts, formats::DType type, std::string_view left_out);

}  // namespace minerva::test
