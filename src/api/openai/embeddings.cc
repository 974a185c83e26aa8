#include "api/openai/embeddings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "api/error_table.h"
#include "api/nearest.h"
#include "api/openai/body.h"
#include "api/openai/error_answer.h"
#include "api/openai/field_readers.h"
#include "wire/data_uri.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {
namespace {

using wire::Json;

constexpr std::uint32_t kDimensionsMax = 1 << 20;

// What the fields say before they are put together.
struct EmbeddingsDraft {
  Draft common;  // model, backend, fallback, timeout, strict
  std::vector<serve::RawPrompt> inputs;
  std::optional<std::uint32_t> dimensions;
  bool base64 = false;
  bool truncate = false;
};

// --- reading ---

Result<serve::RawPrompt> read_one(const Json& value, const std::string& place) {
  if (value.is_string()) return serve::RawPrompt(value.get<std::string>());
  if (!value.is_array()) return wire::wrong_value(place, "a string or a list of token ids", value);
  std::vector<TokenId> tokens;
  tokens.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    MINERVA_ASSIGN(const TokenId id,
                   wire::bounded<TokenId>(value[i], fmt::format("{}[{}]", place, i),
                                          {0, std::numeric_limits<TokenId>::max()}));
    tokens.push_back(id);
  }
  return serve::RawPrompt(std::move(tokens));
}

// A string, a list of token ids, or a list of either. An empty list is serve's to refuse.
Result<void> read_input(const Json& value, EmbeddingsDraft& draft) {
  if (value.is_array() && !value.empty() && !value.front().is_number()) {
    draft.inputs.reserve(value.size());
    for (std::size_t i = 0; i < value.size(); ++i) {
      MINERVA_ASSIGN(serve::RawPrompt one, read_one(value[i], fmt::format("input[{}]", i)));
      draft.inputs.push_back(std::move(one));
    }
    return {};
  }
  if (!value.is_string() && !value.is_array()) {
    return wire::wrong_value("input", "a string, a list of strings, or token ids", value);
  }
  if (value.is_array() && value.empty()) return {};
  MINERVA_ASSIGN(serve::RawPrompt one, read_one(value, "input"));
  draft.inputs.push_back(std::move(one));
  return {};
}

Result<void> read_encoding_format(const Json& value, EmbeddingsDraft& draft) {
  if (value != "float" && value != "base64") {
    return wire::wrong_value("encoding_format", "float or base64", value);
  }
  draft.base64 = value == "base64";
  return {};
}

Result<void> read_dimensions(const Json& value, EmbeddingsDraft& draft) {
  MINERVA_ASSIGN(draft.dimensions,
                 wire::bounded<std::uint32_t>(value, "dimensions", {1, kDimensionsMax}));
  return {};
}

Result<void> read_truncate(const Json& value, EmbeddingsDraft& draft) {
  MINERVA_ASSIGN(draft.truncate, wire::boolean(value, "truncate"));
  return {};
}

// The fields that mean what they do for prompts.
template <auto Read>
Result<void> as_for_prompts(const Json& value, EmbeddingsDraft& draft, std::string_view name) {
  Field field;
  field.name = name;
  field.range = {0, 86400, true};  // of `timeout`, the only number among them
  return Read(value, field, draft.common);
}

Result<void> read_field(const std::string& name, const Json& value, EmbeddingsDraft& draft) {
  if (value.is_null()) return {};
  if (name == "input") return read_input(value, draft);
  if (name == "encoding_format") return read_encoding_format(value, draft);
  if (name == "dimensions") return read_dimensions(value, draft);
  if (name == "truncate") return read_truncate(value, draft);
  if (name == "model") return as_for_prompts<read_model>(value, draft, name);
  if (name == "backend") return as_for_prompts<read_backend>(value, draft, name);
  if (name == "fallback") return as_for_prompts<read_fallback>(value, draft, name);
  if (name == "timeout") return as_for_prompts<read_timeout>(value, draft, name);
  if (name == "strict") return as_for_prompts<read_flag<&Draft::strict>>(value, draft, name);
  if (name != "user") draft.common.ignore(name);  // `user` changes nothing here
  return {};
}

Result<void> refuse_ignored(const Draft& draft) {
  if (draft.ignored.empty()) return {};
  static constexpr std::array<std::string_view, 10> kKnown = {
      "input", "model",    "encoding_format", "dimensions", "truncate",
      "user",  "fallback", "backend",         "timeout",    "strict"};
  std::string message = "unknown fields:";
  for (const std::string& name : draft.ignored) {
    message += fmt::format(" {}", wire::json_string(name));
    if (const auto meant = nearest_name(name, kKnown)) {
      message += fmt::format(" (did you mean '{}'?)", *meant);
    }
  }
  return fail(ErrorCode::InvalidArgument, std::move(message), draft.ignored.front());
}

// --- the answer ---

class EmbeddingsEncoder final : public AnswerEncoder {
 public:
  EmbeddingsEncoder(std::string model, std::size_t inputs, bool base64)
      : model_(std::move(model)), base64_(base64), vectors_(inputs) {}

  bool streaming() const override { return false; }
  std::string_view content_type() const override { return "application/json"; }
  std::string keep_alive() const override { return {}; }
  std::optional<Error> failure() const override { return failure_; }

  std::string on_delta(const serve::Delta& delta) override {
    if (const auto* vector = std::get_if<serve::EmbeddingDelta>(&delta)) take(*vector);
    if (const auto* end = std::get_if<serve::EndDelta>(&delta)) take(*end);
    return {};
  }

  std::string on_error(const Error& error) override {
    if (!failure_) failure_ = error;
    return error_answer(*failure_).body;
  }

  std::string finish() override {
    if (!end_ && !failure_) {
      failure_ = Error{ErrorCode::Internal, "the answer stopped without saying that it ended"};
    }
    if (failure_) return error_answer(*failure_).body;
    std::string out = R"({"object":"list","data":[)";
    for (std::size_t i = 0; i < vectors_.size(); ++i) {
      fmt::format_to(std::back_inserter(out), R"({}{{"object":"embedding","index":{},"embedding":)",
                     i == 0 ? "" : ",", i);
      out += vectors_[i];
      out += '}';
    }
    const std::uint64_t tokens = end_->end.usage.prompt_tokens;
    fmt::format_to(
        std::back_inserter(out),
        R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}},"minerva":{}}})",
        wire::json_string(end_->model.empty() ? model_ : end_->model), tokens, tokens, ours());
    return out;
  }

 private:
  void take(const serve::EmbeddingDelta& delta) {
    if (delta.input >= vectors_.size()) return;
    std::string& out = vectors_[delta.input];
    out.clear();
    if (!std::ranges::all_of(delta.values, [](float value) { return std::isfinite(value); })) {
      failure_ = Error{ErrorCode::Internal, "a vector has a value that is not finite"};
      return;
    }
    if (base64_) {
      // Little-endian floats, whatever the machine.
      std::string bytes;
      bytes.reserve(delta.values.size() * 4);
      for (const float value : delta.values) {
        const auto bits = std::bit_cast<std::uint32_t>(value);
        for (unsigned shift = 0; shift < 32; shift += 8) {
          bytes.push_back(static_cast<char>((bits >> shift) & 0xFFU));
        }
      }
      out.append("\"").append(wire::base64_encode(bytes)).append("\"");
      return;
    }
    out.push_back('[');
    for (const float value : delta.values) {
      // The shortest digits that give the same float back.
      fmt::format_to(std::back_inserter(out), "{}{}", out.size() > 1 ? "," : "", value);
    }
    out.push_back(']');
  }

  void take(const serve::EndDelta& delta) {
    end_ = delta;
    if (delta.end.outcome == backend::EndEvent::Outcome::Done) {
      for (std::size_t i = 0; i < vectors_.size() && !failure_; ++i) {
        if (!vectors_[i].empty()) continue;
        failure_ = Error{ErrorCode::Internal, fmt::format("no vector came for input {}", i)};
      }
      return;
    }
    failure_ = delta.end.error.value_or(
        Error{ErrorCode::Cancelled, "the embedding was cancelled before its end"});
  }

  // What only Minerva says: who answered, why that engine, and how long it took.
  std::string ours() const {
    const auto milliseconds = [](Duration duration) {
      const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(duration);
      return static_cast<double>(micros.count()) / 1000.0;
    };
    Json out = {{"backend", end_->backend},
                {"route", end_->route},
                {"model", end_->model},
                {"timings",
                 {{"queued_ms", milliseconds(end_->end.timings.queued)},
                  {"compute_ms", milliseconds(end_->end.timings.prefill)}}}};
    for (const serve::FailedAttempt& attempt : end_->retries) {
      out["retries"].push_back({{"backend", attempt.backend}, {"why", client_words(attempt.why)}});
    }
    return wire::dump_json(out);
  }

  const std::string model_;
  const bool base64_;
  std::vector<std::string> vectors_;  // JSON already
  std::optional<serve::EndDelta> end_;
  std::optional<Error> failure_;
};

}  // namespace

Result<EmbeddingsCall> parse_embeddings(std::string_view body, const CallContext& context) {
  return guarded([&]() -> Result<EmbeddingsCall> {
    MINERVA_ASSIGN(const Json json, read_object(body));
    EmbeddingsDraft draft;
    draft.common.context = &context;
    for (const auto& [name, value] : json.items()) MINERVA_TRY(read_field(name, value, draft));
    if (draft.common.strict || context.strict) MINERVA_TRY(refuse_ignored(draft.common));
    if (wire::find(json, "input") == nullptr) {
      return fail(ErrorCode::InvalidArgument, "'input' is required", "input");
    }
    serve::Request& common = draft.common.request;
    EmbeddingsCall call;
    call.request.id = "embd-" + context.request_id;
    call.request.client_id = context.client_id;
    call.request.model = std::move(common.model);
    call.request.backend = std::move(common.backend);
    call.request.fallback = std::move(common.fallback);
    call.request.timeout = common.timeout;
    call.request.inputs = std::move(draft.inputs);
    call.request.dimensions = draft.dimensions;
    call.request.truncate = draft.truncate;
    for (const std::string& name : draft.common.ignored) call.ignored.push_back(header_name(name));
    call.encoder = std::make_unique<EmbeddingsEncoder>(call.request.model,
                                                       call.request.inputs.size(), draft.base64);
    return call;
  });
}

}  // namespace minerva::api::openai
