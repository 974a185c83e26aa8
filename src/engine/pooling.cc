#include "engine/pooling.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "base/check.h"

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

Result<std::size_t> read_text_limit(const formats::GgufFile& file, std::string_view architecture,
                                    std::size_t context) {
  const std::string key = fmt::format("{}.embedding_context_length", architecture);
  MINERVA_ASSIGN(const std::uint64_t tokens, file.get_uint_or(key, context));
  if (tokens == 0) return fail(ErrorCode::InvalidModel, fmt::format("{} is 0", key), key);
  return static_cast<std::size_t>(std::min<std::uint64_t>(tokens, context));
}

Result<bool> read_makes_text(const formats::GgufFile& file, std::string_view architecture) {
  return file.get_bool_or(fmt::format("{}.makes_text", architecture), true);
}

void Pooler::add(std::size_t position, std::span<const float> state) {
  MINERVA_DCHECK(position <= next_ && state.size() == sums_.size());
  if (position < next_) return;
  ++next_;
  if (pooling_ == Pooling::Cls && position != 0) return;
  for (std::size_t i = 0; i < state.size(); ++i) {
    const double value = static_cast<double>(state[i]);
    sums_[i] = pooling_ == Pooling::Mean ? sums_[i] + value : value;
  }
}

std::vector<float> Pooler::vector() const {
  MINERVA_CHECK(next_ > 0);
  const double count = pooling_ == Pooling::Mean ? static_cast<double>(next_) : 1.0;
  std::vector<float> out(sums_.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(sums_[i] / count);
  return out;
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
