// How an engine's vectors are read, and what an engine that makes none says.
#include <fmt/core.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <utility>

#include "backend/child/engine_wire.h"
#include "wire/data_uri.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr std::size_t kWidthMax = std::size_t{1} << 16;
constexpr std::size_t kValuesMax = std::size_t{4} << 20;
constexpr std::uint64_t kTokensMax = std::uint64_t{1} << 40;

Error broken(std::string what) {
  return {ErrorCode::Unavailable, fmt::format("the engine's answer {}", what)};
}

// Numbers, or base64 of little-endian floats.
Result<std::vector<float>> vector_of(const Json& value) {
  std::vector<float> out;
  if (value.is_string()) {
    const auto bytes = wire::base64_decode(value.get_ref<const std::string&>());
    if (!bytes || bytes->size() % 4 != 0) return fail(broken("has a vector that is no base64"));
    for (std::size_t i = 0; i < bytes->size(); i += 4) {
      std::uint32_t bits = 0;
      for (unsigned j = 0; j < 4; ++j) {
        bits |= std::uint32_t{static_cast<unsigned char>((*bytes)[i + j])} << (8 * j);
      }
      out.push_back(std::bit_cast<float>(bits));
    }
  } else if (value.is_array()) {
    for (const Json& number : value) {
      if (!number.is_number()) return fail(broken("has a vector with something else than numbers"));
      out.push_back(static_cast<float>(number.get<double>()));
    }
  }
  if (out.empty() || out.size() > kWidthMax) {
    return fail(broken(fmt::format("has a vector of {} numbers", out.size())));
  }
  for (const float number : out) {
    if (!std::isfinite(number)) return fail(broken("has a vector that is not finite"));
  }
  return out;
}

}  // namespace

Result<UpstreamRequest> EngineWire::embed_call(std::span<const EmbedInput>,
                                               const WireModel&) const {
  return fail(Error{ErrorCode::Unsupported,
                    fmt::format("the engine {} makes no embeddings", name()), "model",
                    std::string(name())});
}

Result<WireVectors> EngineWire::read_vectors(std::string_view body, std::size_t inputs) const {
  MINERVA_ASSIGN(const Json value,
                 wire::parse_json(body, {.depth_max = 16, .values_max = kValuesMax}));
  const Json* data = value.is_object() ? wire::find(value, "data") : nullptr;
  if (data == nullptr || !data->is_array() || data->size() != inputs) {
    return fail(broken(fmt::format("has not the {} vectors that were asked for", inputs)));
  }
  WireVectors out;
  out.vectors.resize(inputs);
  for (const Json& entry : *data) {
    const Json* index = entry.is_object() ? wire::find(entry, "index") : nullptr;
    const Json* vector = entry.is_object() ? wire::find(entry, "embedding") : nullptr;
    if (index == nullptr || vector == nullptr) return fail(broken("has an entry without a vector"));
    MINERVA_ASSIGN(const auto at, wire::bounded<std::size_t>(*index, "index", {0, inputs - 1}));
    if (!out.vectors[at].empty()) return fail(broken(fmt::format("has vector {} twice", at)));
    MINERVA_ASSIGN(out.vectors[at], vector_of(*vector));
  }
  const Json* usage = wire::find(value, "usage");
  const Json* tokens =
      usage != nullptr && usage->is_object() ? wire::find(*usage, "prompt_tokens") : nullptr;
  if (tokens != nullptr) {
    MINERVA_ASSIGN(out.prompt_tokens,
                   wire::bounded<std::uint64_t>(*tokens, "prompt_tokens", {0, kTokensMax}));
  }
  return out;
}

}  // namespace minerva::backend
