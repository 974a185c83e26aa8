#include "api/openai/field_readers.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

#include "backend/engine_name.h"

namespace minerva::api::openai {
namespace {

using wire::Json;

constexpr std::size_t kModelBytesMax = 512;
constexpr std::size_t kStopsMax = 16;
constexpr std::size_t kStopBytesMax = 256;
constexpr std::size_t kBiasesMax = 1024;
constexpr std::size_t kPromptTokensMax = 1'000'000;

Result<void> unsupported(std::string_view field, std::string_view why) {
  return fail(ErrorCode::Unsupported, fmt::format("'{}' is not supported: {}", field, why),
              std::string(field));
}

// Decimal digits only, as a token's id is written; no sign, no leading zero.
std::optional<TokenId> token_from_key(std::string_view key) {
  TokenId id = -1;
  const auto [end, ec] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (ec != std::errc() || end != key.data() + key.size() || id < 0) return std::nullopt;
  if (key.front() == '-' || (key.size() > 1 && key.front() == '0')) return std::nullopt;
  return id;
}

Result<std::vector<TokenId>> read_tokens(const Json& list, const std::string& field) {
  if (list.size() > kPromptTokensMax) {
    return fail(
        ErrorCode::TooLarge,
        fmt::format("'{}' may have {} tokens, got {}", field, kPromptTokensMax, list.size()),
        field);
  }
  std::vector<TokenId> tokens;
  tokens.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    MINERVA_ASSIGN(const TokenId id,
                   wire::bounded<TokenId>(list[i], fmt::format("{}[{}]", field, i),
                                          {0, std::numeric_limits<TokenId>::max()}));
    tokens.push_back(id);
  }
  return tokens;
}

}  // namespace

Result<void> read_model(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.request.model, wire::string(value, field.name, kModelBytesMax));
  return {};
}

Result<void> read_backend(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(std::string name, wire::string(value, field.name, backend::kEngineNameBytesMax));
  if (name != "auto" && !backend::is_engine_name(name))
    return wire::wrong_value(field.name, "the name of an engine, or auto", value);
  draft.request.backend = std::move(name);
  return {};
}

Result<void> read_fallback(const Json& value, const Field& field, Draft& draft) {
  MINERVA_TRY(wire::must_be_array(value, field.name));
  if (value.size() > backend::kFallbackMax) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' may name {} engines, got {}", field.name, backend::kFallbackMax,
                            value.size()),
                std::string(field.name));
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", field.name, i);
    MINERVA_ASSIGN(std::string name, wire::string(value[i], place, backend::kEngineNameBytesMax));
    if (!backend::is_engine_name(name))
      return wire::wrong_value(place, "the name of an engine", value[i]);
    draft.request.fallback.push_back(std::move(name));
  }
  return {};
}

Result<void> read_prompt(const Json& value, const Field& field, Draft& draft) {
  const std::string name(field.name);
  const Json* one = &value;
  std::string path = name;
  if (value.is_array() && !value.empty() && !value.front().is_number()) {
    if (value.size() > 1) {
      return unsupported(field.name, fmt::format("one prompt a request, got {}", value.size()));
    }
    one = &value.front();
    path += "[0]";
  }
  if (one->is_string()) {
    draft.prompt = one->get<std::string>();
    return {};
  }
  if (!one->is_array() || one->empty()) {
    return wire::wrong_value(path, "a string or a list of token ids", *one);
  }
  MINERVA_ASSIGN(draft.prompt, read_tokens(*one, path));
  return {};
}

Result<void> read_max_tokens(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.request.max_tokens, read_integer<std::uint64_t>(value, field));
  return {};
}

Result<void> read_max_completion_tokens(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.max_completion_tokens, read_integer<std::uint64_t>(value, field));
  return {};
}

Result<void> read_top_k(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(const std::int32_t top_k, read_integer<std::int32_t>(value, field));
  draft.request.sampling.top_k = std::max(top_k, 0);
  return {};
}

Result<void> read_repeat_penalty(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.repeat_penalty, wire::bounded_float(value, field.name, field.range));
  return {};
}

Result<void> read_repeat_last_n(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.repeat_last_n, read_integer<std::int32_t>(value, field));
  return {};
}

Result<void> read_logit_bias(const Json& value, const Field& field, Draft& draft) {
  MINERVA_TRY(wire::must_be_object(value, field.name));
  if (value.size() > kBiasesMax) {
    return fail(
        ErrorCode::InvalidArgument,
        fmt::format("'{}' may have {} tokens, got {}", field.name, kBiasesMax, value.size()),
        std::string(field.name));
  }
  for (const auto& [key, item] : value.items()) {
    const auto id = token_from_key(key);
    if (!id) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("'{}': {} is not a token id", field.name, wire::json_string(key)),
                  std::string(field.name));
    }
    MINERVA_ASSIGN(const float bias,
                   wire::bounded_float(item, fmt::format("{}.{}", field.name, key), {-100, 100}));
    draft.request.sampling.logit_bias.emplace_back(*id, bias);
  }
  return {};
}

// Any 64-bit integer, signed or not: the seed that an answer reports can be asked for again.
Result<void> read_seed(const Json& value, const Field& field, Draft& draft) {
  const auto integer = wire::exact_integer(value);
  if (!integer) {
    return wire::outside_range(value, field.name, "-9223372036854775808", "18446744073709551615");
  }
  draft.request.sampling.seed = integer->bits;
  return {};
}

Result<void> read_stop(const Json& value, const Field& field, Draft& draft) {
  if (!value.is_string() && !value.is_array()) {
    return wire::wrong_value(field.name, "a string or a list of strings", value);
  }
  const std::size_t count = value.is_string() ? 1 : value.size();
  if (count > kStopsMax) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' may have {} strings, got {}", field.name, kStopsMax, count),
                std::string(field.name));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Json& item = value.is_string() ? value : value[i];
    const std::string path = value.is_string() ? "stop" : fmt::format("stop[{}]", i);
    MINERVA_ASSIGN(std::string text, wire::string(item, path, kStopBytesMax));
    if (text.empty()) return wire::wrong_value(path, "at least one character", item);
    draft.request.stop.push_back(std::move(text));
  }
  return {};
}

Result<void> read_n(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.request.n, read_integer<std::uint32_t>(value, field));
  return {};
}

Result<void> read_best_of(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.best_of, read_integer<std::uint32_t>(value, field));
  return {};
}

Result<void> read_stream_options(const Json& value, const Field& field, Draft& draft) {
  MINERVA_TRY(wire::must_be_object(value, field.name));
  for (const auto& [key, item] : value.items()) {
    const std::string path = fmt::format("{}.{}", field.name, key);
    if (item.is_null()) continue;
    if (key == "include_usage") {
      MINERVA_ASSIGN(draft.include_usage, wire::boolean(item, path));
    } else if (key != "include_obfuscation") {  // padding against wiretaps: nothing to do
      draft.ignore(path);
    }
  }
  return {};
}

Result<void> read_top_logprobs(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.top_logprobs, read_integer<std::int32_t>(value, field));
  return {};
}

Result<void> read_completion_logprobs(const Json& value, const Field& field, Draft& draft) {
  if (value == false) return {};
  MINERVA_ASSIGN(draft.top_logprobs, read_integer<std::int32_t>(value, field));
  draft.logprobs = true;
  return {};
}

Result<void> read_tool_choice(const Json& value, const Field& field, Draft& draft) {
  if (value == "auto") return {};
  if (value == "none") {
    draft.hide_tools = true;
    return {};
  }
  if (value == "required" || value.is_object()) {
    return unsupported(field.name, "a call cannot be forced yet; auto and none are");
  }
  return wire::wrong_value(field.name, "auto, none, required or an object", value);
}

Result<void> read_parallel_tool_calls(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(const bool parallel, wire::boolean(value, field.name));
  draft.one_tool_call = !parallel;
  return {};
}

Result<void> read_response_format(const Json& value, const Field& field, Draft&) {
  MINERVA_TRY(wire::must_be_object(value, field.name));
  const Json* type = wire::find(value, "type");
  if (type != nullptr && *type == "text") return {};
  if (type != nullptr && (*type == "json_object" || *type == "json_schema")) {
    return unsupported(field.name,
                       "answers are not yet held to JSON or a schema; ask for JSON in the prompt");
  }
  return wire::wrong_value("response_format.type", "text, json_object or json_schema",
                           type == nullptr ? Json() : *type);
}

Result<void> read_reasoning_effort(const Json& value, const Field& field, Draft& draft) {
  constexpr std::array<std::string_view, 6> kEfforts = {"none",   "minimal", "low",
                                                        "medium", "high",    "xhigh"};
  MINERVA_ASSIGN(std::string effort, wire::string(value, field.name, 64));
  if (std::ranges::find(kEfforts, effort) == kEfforts.end()) {
    return wire::wrong_value(field.name, "none, minimal, low, medium, high or xhigh", value);
  }
  draft.reasoning_effort = std::move(effort);
  return {};
}

Result<void> read_modalities(const Json& value, const Field& field, Draft&) {
  if (value == Json::array({"text"}) || value == Json::array()) return {};
  MINERVA_TRY(wire::must_be_array(value, field.name));
  return unsupported(field.name, "answers are text only: [\"text\"]");
}

Result<void> read_timeout(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(const double seconds, wire::bounded_double(value, field.name, field.range));
  const auto wait = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  draft.request.timeout = std::max(wait, Duration(1));
  return {};
}

Result<void> read_echo(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.request.echo, wire::boolean(value, field.name));
  return {};
}

Result<void> read_ignore_eos(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.request.ignore_end_of_generation, wire::boolean(value, field.name));
  return {};
}

Result<void> read_add_generation_prompt(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.conversation.add_generation_prompt, wire::boolean(value, field.name));
  return {};
}

bool asks_for_nothing(const Json& value) {
  if (value.is_structured()) return value.empty();
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_null() || value == false || value == 0;
}

Result<void> refuse(const Json& value, const Field& field, Draft&) {
  if (asks_for_nothing(value)) return {};
  return unsupported(field.name, field.note);
}

}  // namespace minerva::api::openai
