// A model folder written as one GGUF file, which other programs read too.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/dtype.h"

namespace minerva::models {

struct ConversionOptions {
  // Of the matrices: F32, F16, BF16, Q8_0 or Q4_0. Nothing: as they are in the folder.
  std::optional<formats::DType> type;
  bool overwrite = false;
  // In weights; called from this thread.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

struct ConversionReport {
  std::string architecture;
  std::uint64_t tensors = 0;
  std::uint64_t file_bytes = 0;
  // What of the tokenizer GGUF has no words for, and for which texts that matters.
  std::vector<std::string> notes;
};

// Errors say what is unsupported, what of the folder is broken, or what became of the file: it is
// there when it is whole, and else what was there before. A second or so for each GB.
Result<ConversionReport> convert_model(const std::string& folder, const std::string& to,
                                       const ConversionOptions& options);

}  // namespace minerva::models
