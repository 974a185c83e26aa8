#include "backend/isolated/embed_json.h"

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <iterator>
#include <limits>
#include <utility>

#include "base/utf8.h"
#include "wire/data_uri.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr std::size_t kTextBytesMax = std::size_t{64} << 20;
constexpr std::size_t kValuesMax = std::size_t{1} << 24;

Result<EmbedInput> input_of(const Json& value) {
  if (value.is_string()) {
    MINERVA_ASSIGN(std::string text, wire::string(value, "inputs", kTextBytesMax));
    return EmbedInput(std::move(text));
  }
  MINERVA_TRY(wire::must_be_array(value, "inputs"));
  std::vector<TokenId> ids;
  ids.reserve(value.size());
  for (const Json& entry : value) {
    constexpr TokenId kMin = std::numeric_limits<TokenId>::min();
    constexpr TokenId kMax = std::numeric_limits<TokenId>::max();
    MINERVA_ASSIGN(const TokenId id, wire::bounded<TokenId>(entry, "inputs", {kMin, kMax}));
    ids.push_back(id);
  }
  return EmbedInput(std::move(ids));
}

}  // namespace

Result<std::string> embed_json(std::span<const EmbedInput> inputs) {
  Json list = Json::array();
  for (const EmbedInput& input : inputs) {
    const auto* text = std::get_if<std::string>(&input);
    if (text != nullptr && !utf8_valid(*text)) {
      return fail(ErrorCode::InvalidArgument, "an input is not valid UTF-8", "input");
    }
    if (text != nullptr) {
      list.push_back(*text);
    } else {
      list.push_back(std::get<std::vector<TokenId>>(input));
    }
  }
  return wire::dump_json({{"inputs", std::move(list)}});
}

Result<EmbedRequest> parse_embed_json(std::string_view body) {
  MINERVA_ASSIGN(const Json value,
                 wire::parse_json(body, {.depth_max = 4, .values_max = kValuesMax}));
  const Json* list = value.is_object() ? wire::find(value, "inputs") : nullptr;
  if (list == nullptr) return fail(ErrorCode::InvalidArgument, "inputs is missing", "inputs");
  MINERVA_TRY(wire::must_be_array(*list, "inputs"));
  EmbedRequest request;
  for (const Json& entry : *list) {
    MINERVA_ASSIGN(EmbedInput input, input_of(entry));
    request.inputs.push_back(std::move(input));
  }
  return request;
}

void GatheredVectors::take(const EmbeddingEvent& event) {
  if (event.input >= vectors_.size()) return;
  std::string bytes;
  bytes.reserve(event.values.size() * 4);
  for (const float number : event.values) {
    const auto bits = std::bit_cast<std::uint32_t>(number);
    for (unsigned shift = 0; shift < 32; shift += 8) {
      bytes.push_back(static_cast<char>((bits >> shift) & 0xFFU));
    }
  }
  vectors_[event.input] = wire::base64_encode(bytes);
}

Result<std::string> GatheredVectors::finish(const EndEvent& end) const {
  if (end.outcome != EndEvent::Outcome::Done) {
    return fail(end.error.value_or(Error{ErrorCode::Unavailable, "the engine ended the request"}));
  }
  std::string out = R"({"data":[)";
  for (std::size_t i = 0; i < vectors_.size(); ++i) {
    fmt::format_to(std::back_inserter(out), R"({}{{"index":{},"embedding":"{}"}})",
                   i == 0 ? "" : ",", i, vectors_[i]);
  }
  fmt::format_to(std::back_inserter(out), R"(],"usage":{{"prompt_tokens":{}}}}})",
                 end.usage.prompt_tokens);
  return out;
}

}  // namespace minerva::backend
