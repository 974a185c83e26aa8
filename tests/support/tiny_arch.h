// Tiny models of every dense architecture, written by code: each with all the tensors and keys that
// its graph has, for tests that ask for equal bits or take something away.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/dtype.h"
#include "support/gguf_writer.h"

namespace minerva::test {

// Names of models, not of architectures: "stablelm_parallel" is one of stablelm.
std::vector<std::string> tiny_arch_names();

// A model of 4 layers, width 64 and 80 tokens. The same name and type give the same bytes. A tensor
// whose name ends with `left_out` is missing.
GgufWriter tiny_arch(std::string_view name, formats::DType type, std::string_view left_out = {});

}  // namespace minerva::test
