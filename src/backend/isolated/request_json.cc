#include "backend/isolated/request_json.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr std::size_t kTextBytesMax = std::size_t{64} << 20;
constexpr std::size_t kIdsMax = std::size_t{1} << 24;  // tokens of a prompt
constexpr std::string_view kConstraints[] = {"json_object", "json_schema", "regex", "grammar"};

// Every number of the settings, once for both directions.
template <class Visit>
Result<void> each_float(SamplingParams& p, const Visit& visit) {
  MINERVA_TRY(visit("temperature", p.temperature));
  MINERVA_TRY(visit("top_p", p.top_p));
  MINERVA_TRY(visit("min_p", p.min_p));
  MINERVA_TRY(visit("typical_p", p.typical_p));
  MINERVA_TRY(visit("repetition_penalty", p.repetition_penalty));
  MINERVA_TRY(visit("presence_penalty", p.presence_penalty));
  return visit("frequency_penalty", p.frequency_penalty);
}

Result<Json> prompt_json(const GenerateRequest& request) {
  Json prompt = Json::array();
  for (const PromptItem& item : request.prompt) {
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&item)) {
      prompt.push_back(*ids);
    } else if (const auto* text = std::get_if<std::string>(&item)) {
      if (!utf8_valid(*text)) {
        return fail(ErrorCode::InvalidArgument, "the prompt is not valid UTF-8", "prompt");
      }
      prompt.push_back(*text);
    } else {
      return fail(ErrorCode::Unsupported,
                  "the native engine takes token ids and text as a prompt, nothing else", "prompt");
    }
  }
  return prompt;
}

Result<const Json*> member(const Json& object, const char* key) {
  const auto at = object.find(key);
  if (at != object.end()) return &*at;
  return fail(ErrorCode::InvalidArgument, fmt::format("{} is missing", key), key);
}

template <class T>
Result<void> read_integer(const Json& object, const char* key, T& to) {
  MINERVA_ASSIGN(const Json* value, member(object, key));
  MINERVA_ASSIGN(to,
                 wire::bounded<T>(*value, key,
                                  {std::numeric_limits<T>::min(), std::numeric_limits<T>::max()}));
  return {};
}

Result<std::vector<TokenId>> ids_of(const Json& value, const char* key) {
  MINERVA_TRY(wire::must_be_array(value, key));
  if (value.size() > kIdsMax) {
    return fail(ErrorCode::TooLarge,
                fmt::format("{} has {} tokens, at most {} are taken", key, value.size(), kIdsMax));
  }
  std::vector<TokenId> ids;
  ids.reserve(value.size());
  for (const Json& entry : value) {
    constexpr TokenId kMin = std::numeric_limits<TokenId>::min();
    constexpr TokenId kMax = std::numeric_limits<TokenId>::max();
    MINERVA_ASSIGN(const TokenId id, wire::bounded<TokenId>(entry, key, {kMin, kMax}));
    ids.push_back(id);
  }
  return ids;
}

Result<void> read_sampling(const Json& value, SamplingParams& sampling) {
  MINERVA_TRY(wire::must_be_object(value, "sampling"));
  MINERVA_TRY(each_float(sampling, [&](const char* key, float& to) -> Result<void> {
    MINERVA_ASSIGN(const Json* number, member(value, key));
    if (!number->is_number()) return wire::wrong_value(key, "a number", *number);
    to = static_cast<float>(number->get<double>());
    return {};
  }));
  MINERVA_TRY(read_integer(value, "top_k", sampling.top_k));
  MINERVA_TRY(read_integer(value, "repetition_window", sampling.repetition_window));
  if (const Json* seed = wire::find(value, "seed")) {
    constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
    MINERVA_ASSIGN(sampling.seed, wire::bounded<std::uint64_t>(*seed, "seed", {0, kMax}));
  }
  MINERVA_ASSIGN(const Json* biases, member(value, "logit_bias"));
  MINERVA_TRY(wire::must_be_array(*biases, "logit_bias"));
  for (const Json& entry : *biases) {
    if (!entry.is_array() || entry.size() != 2 || !entry[1].is_number()) {
      return wire::wrong_value("logit_bias", "[id, number] each", entry);
    }
    constexpr TokenId kMin = std::numeric_limits<TokenId>::min();
    constexpr TokenId kMax = std::numeric_limits<TokenId>::max();
    MINERVA_ASSIGN(const auto id, wire::bounded<TokenId>(entry[0], "logit_bias", {kMin, kMax}));
    sampling.logit_bias.emplace_back(id, static_cast<float>(entry[1].get<double>()));
  }
  return {};
}

Result<void> read_prompt(const Json& value, GenerateRequest& request) {
  MINERVA_TRY(wire::must_be_array(value, "prompt"));
  for (const Json& item : value) {
    if (item.is_string()) {
      MINERVA_ASSIGN(std::string text, wire::string(item, "prompt", kTextBytesMax));
      request.prompt.emplace_back(std::move(text));
    } else {
      MINERVA_ASSIGN(std::vector<TokenId> ids, ids_of(item, "prompt"));
      request.prompt.emplace_back(std::move(ids));
    }
  }
  return {};
}

Result<void> read_constraint(const Json& value, GenerateRequest& request) {
  MINERVA_TRY(wire::must_be_object(value, "constraint"));
  MINERVA_ASSIGN(const Json* kind, member(value, "kind"));
  MINERVA_ASSIGN(const Json* source, member(value, "source"));
  ConstraintSpec spec;
  MINERVA_ASSIGN(spec.source, wire::string(*source, "source", kTextBytesMax));
  for (std::size_t i = 0; i < std::size(kConstraints); ++i) {
    if (*kind != kConstraints[i]) continue;
    spec.kind = static_cast<ConstraintSpec::Kind>(i);
    request.constraint = std::move(spec);
    return {};
  }
  return wire::wrong_value("constraint", "a kind that is known", *kind);
}

}  // namespace

Result<std::string> request_json(const GenerateRequest& request) {
  Json out;
  out["id"] = request.id;
  out["client_id"] = request.client_id;
  MINERVA_ASSIGN(out["prompt"], prompt_json(request));
  out["resume_prefix"] = request.resume_prefix;
  SamplingParams sampling = request.sampling;
  Json& settings = out["sampling"] = Json::object();
  MINERVA_TRY(each_float(sampling, [&](const char* key, float value) -> Result<void> {
    // JSON has no infinity, and no setting means one.
    if (!std::isfinite(value)) {
      return fail(ErrorCode::InvalidArgument, fmt::format("{} is {}", key, value), key);
    }
    settings[key] = static_cast<double>(value);
    return {};
  }));
  settings["top_k"] = sampling.top_k;
  settings["repetition_window"] = sampling.repetition_window;
  if (sampling.seed) settings["seed"] = *sampling.seed;
  Json& biases = settings["logit_bias"] = Json::array();
  for (const auto& [id, bias] : sampling.logit_bias) {
    // An infinite bias forbids or forces; the largest float does, too.
    constexpr float kMax = std::numeric_limits<float>::max();
    const float value = std::isnan(bias) ? 0.0F : std::fmax(-kMax, std::fmin(kMax, bias));
    biases.push_back(Json::array({id, static_cast<double>(value)}));
  }
  if (request.constraint) {
    out["constraint"] = {
        {"kind", std::string(kConstraints[static_cast<std::size_t>(request.constraint->kind)])},
        {"source", request.constraint->source}};
  }
  out["n"] = request.n;
  if (request.max_tokens) out["max_tokens"] = *request.max_tokens;
  out["ignore_end_of_generation"] = request.ignore_end_of_generation;
  out["logprobs"] = request.logprobs;
  out["batch"] = request.priority == Priority::Batch;
  return wire::dump_json(out);
}

Result<GenerateRequest> parse_request_json(std::string_view body) {
  // A prompt of a million tokens is a million values.
  MINERVA_ASSIGN(const Json value, wire::parse_json(body, {.depth_max = 4, .values_max = kIdsMax}));
  MINERVA_TRY(wire::must_be_object(value, "the request"));
  GenerateRequest request;
  MINERVA_ASSIGN(const Json* id, member(value, "id"));
  MINERVA_ASSIGN(request.id, wire::string(*id, "id", 4096));
  MINERVA_ASSIGN(const Json* client, member(value, "client_id"));
  MINERVA_ASSIGN(request.client_id, wire::string(*client, "client_id", 4096));
  MINERVA_ASSIGN(const Json* prompt, member(value, "prompt"));
  MINERVA_TRY(read_prompt(*prompt, request));
  MINERVA_ASSIGN(const Json* prefix, member(value, "resume_prefix"));
  MINERVA_ASSIGN(request.resume_prefix, ids_of(*prefix, "resume_prefix"));
  MINERVA_ASSIGN(const Json* sampling, member(value, "sampling"));
  MINERVA_TRY(read_sampling(*sampling, request.sampling));
  if (const Json* constraint = wire::find(value, "constraint")) {
    MINERVA_TRY(read_constraint(*constraint, request));
  }
  MINERVA_TRY(read_integer(value, "n", request.n));
  if (const Json* tokens = wire::find(value, "max_tokens")) {
    constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
    MINERVA_ASSIGN(request.max_tokens,
                   wire::bounded<std::uint64_t>(*tokens, "max_tokens", {0, kMax}));
  }
  MINERVA_ASSIGN(const Json* ignore, member(value, "ignore_end_of_generation"));
  MINERVA_ASSIGN(request.ignore_end_of_generation,
                 wire::boolean(*ignore, "ignore_end_of_generation"));
  MINERVA_TRY(read_integer(value, "logprobs", request.logprobs));
  MINERVA_ASSIGN(const Json* batch, member(value, "batch"));
  MINERVA_ASSIGN(const bool is_batch, wire::boolean(*batch, "batch"));
  request.priority = is_batch ? Priority::Batch : Priority::Interactive;
  return request;
}

}  // namespace minerva::backend
