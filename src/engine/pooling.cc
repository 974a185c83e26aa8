#include "engine/pooling.h"

#include <fmt/core.h>

#include <cmath>
#include <string>

namespace minerva::engine {

std::string_view to_string(Pooling pooling) {
  switch (pooling) {
    case Pooling::Mean:
      return "mean";
    case Pooling::Cls:
      return "cls";
    case Pooling::Last:
      return "last";
  }
  return "?";
}

Result<std::optional<Pooling>> read_pooling(const formats::GgufFile& file,
                                            std::string_view architecture) {
  const std::string key = fmt::format("{}.pooling_type", architecture);
  MINERVA_ASSIGN(const std::uint64_t number, file.get_uint_or(key, 0));
  switch (number) {
    case 0:
      return std::nullopt;
    case 1:
      return Pooling::Mean;
    case 2:
      return Pooling::Cls;
    case 3:
      return Pooling::Last;
    case 4:
      return fail(ErrorCode::Unsupported,
                  fmt::format("{} is 4: the model ranks pairs of texts, and this engine makes "
                              "vectors",
                              key),
                  key);
    default:
      return fail(
          ErrorCode::Unsupported,
          fmt::format("{} is {}; this engine knows 1 (mean), 2 (cls) and 3 (last)", key, number),
          key);
  }
}

Result<bool> read_normalize(const formats::GgufFile& file, std::string_view architecture) {
  return file.get_bool_or(fmt::format("{}.normalize_embeddings", architecture), true);
}

void normalize(std::span<float> values) {
  double squares = 0;
  for (const float value : values) {
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  if (squares == 0) return;
  const double length = std::sqrt(squares);
  for (float& value : values) value = static_cast<float>(static_cast<double>(value) / length);
}

}  // namespace minerva::engine
