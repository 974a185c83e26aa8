// What the readings of a folder's tensors share. Internal to models.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/log.h"
#include "base/result.h"
#include "models/weight_source.h"

namespace minerva::models {

inline std::string shown(std::string_view name) {
  constexpr std::size_t kShownBytesMax = 80;
  return escape_controls(name.substr(0, kShownBytesMax));
}

inline std::unexpected<Error> bad_tensor(std::string_view name, std::string_view what) {
  return fail(ErrorCode::InvalidModel, fmt::format("tensor {}: {}", shown(name), what),
              shown(name));
}

inline std::optional<formats::DType> float_type(std::string_view dtype) {
  if (dtype == "F32") return formats::DType::F32;
  if (dtype == "F16") return formats::DType::F16;
  if (dtype == "BF16") return formats::DType::BF16;
  return std::nullopt;
}

// Sets what follows from the shape; nothing when a dimension is 0 or there are too many.
inline bool set_shape(WeightSource& source, std::vector<std::uint64_t> shape) {
  if (shape.empty() || shape.size() > 4 || std::ranges::count(shape, 0U) != 0) return false;
  source.cols = shape.back();
  source.rows = 1;
  for (std::size_t d = 0; d + 1 < shape.size(); ++d) {
    const auto rows = checked_mul(source.rows, shape[d]);
    if (!rows) return false;
    source.rows = *rows;
  }
  source.shape = std::move(shape);
  return true;
}

}  // namespace minerva::models
