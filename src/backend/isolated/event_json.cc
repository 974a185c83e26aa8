#include "backend/isolated/event_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "wire/fields.h"
#include "wire/http_grammar.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr std::size_t kTokenBytesMax = 4096;
constexpr std::uint64_t kCountMax = std::uint64_t{1} << 53;
constexpr std::string_view kPhases[] = {"queued", "loading", "prefill"};
constexpr std::string_view kReasons[] = {"stop", "length"};
constexpr std::string_view kOutcomes[] = {"done", "failed", "cancelled"};

void append_hex(std::string& out, std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out.push_back('"');
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out.push_back(kDigits[byte >> 4U]);
    out.push_back(kDigits[byte & 15U]);
  }
  out.push_back('"');
}

// A double's shortest digits give the float back exactly; JSON has no infinity, so -inf is null.
void append_float(std::string& out, float value) {
  if (std::isfinite(value)) {
    // "#": -0 without a point would be an integer, which has no sign.
    fmt::format_to(std::back_inserter(out), "{:#}", static_cast<double>(value));
  } else {
    out.append("null");
  }
}

struct Append {
  std::string& out;

  void operator()(const TokenEvent& token) const {
    fmt::format_to(std::back_inserter(out), R"({{"token":{},"choice":{},"bytes":)",
                   token.id.value_or(-1), token.choice);
    append_hex(out, token.bytes);
    if (token.logprob) {
      out.append(R"(,"logprob":)");
      append_float(out, *token.logprob);
      out.append(R"(,"top":[)");
      for (const TokenLogprob& likely : token.top) {
        if (&likely != token.top.data()) out.push_back(',');
        fmt::format_to(std::back_inserter(out), "[{},", likely.id);
        append_hex(out, likely.bytes);
        out.push_back(',');
        append_float(out, likely.logprob);
        out.push_back(']');
      }
      out.push_back(']');
    }
    out.push_back('}');
  }

  void operator()(const ProgressEvent& progress) const {
    fmt::format_to(std::back_inserter(out),
                   R"({{"progress":"{}","done":{},"total":{},"cached":{}}})",
                   kPhases[static_cast<std::size_t>(progress.phase)], progress.done, progress.total,
                   progress.cached);
  }

  void operator()(const ChoiceEndEvent& choice) const {
    fmt::format_to(std::back_inserter(out), R"({{"choice_end":{},"reason":"{}"}})", choice.choice,
                   kReasons[static_cast<std::size_t>(choice.reason)]);
  }

  // Not part of a stream: embed_json.h.
  void operator()(const EmbeddingEvent&) const {}

  void operator()(const EndEvent& end) const {
    fmt::format_to(std::back_inserter(out),
                   R"({{"end":"{}","usage":[{},{},{}],"timings_ns":[{},{},{}],"seed":{})",
                   kOutcomes[static_cast<std::size_t>(end.outcome)], end.usage.prompt_tokens,
                   end.usage.cached_tokens, end.usage.completion_tokens, end.timings.queued.count(),
                   end.timings.prefill.count(), end.timings.decode.count(), end.seed);
    if (end.error) out.append(R"(,"error":)").append(error_json(*end.error));
    out.push_back('}');
  }
};

Result<const Json*> member(const Json& object, const char* key) {
  const auto at = object.find(key);
  if (at != object.end()) return &*at;
  return fail(ErrorCode::Internal, fmt::format("an event has no {}", key));
}

template <class T>
Result<T> number(const Json& object, const char* key, T max) {
  MINERVA_ASSIGN(const Json* value, member(object, key));
  return wire::bounded<T>(*value, key, {0, max});
}

Result<std::string> bytes_of(const Json& value) {
  MINERVA_ASSIGN(const std::string hex, wire::string(value, "bytes", 2 * kTokenBytesMax));
  std::string bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    const auto high = wire::hex_digit(hex[i]);
    const auto low = wire::hex_digit(hex[i + 1]);
    if (!high || !low) return fail(ErrorCode::Internal, "bytes are not in hexadecimal");
    bytes.push_back(static_cast<char>(*high * 16 + *low));
  }
  if (hex.size() % 2 != 0) return fail(ErrorCode::Internal, "bytes end in half a byte");
  return bytes;
}

Result<float> logprob_of(const Json& value) {
  if (value.is_null()) return -std::numeric_limits<float>::infinity();
  if (!value.is_number()) return fail(ErrorCode::Internal, "a logprob is not a number");
  return static_cast<float>(value.get<double>());
}

template <std::size_t N>
Result<std::size_t> word(const Json& object, const char* key, const std::string_view (&words)[N]) {
  MINERVA_ASSIGN(const Json* value, member(object, key));
  MINERVA_ASSIGN(const std::string text, wire::string(*value, key, 32));
  const auto* const at = std::ranges::find(words, text);
  if (at == std::end(words)) {
    return fail(ErrorCode::Internal, fmt::format("{} is the unknown word {}", key, text));
  }
  return static_cast<std::size_t>(at - std::begin(words));
}

// "key": [a, b, c]
Result<std::vector<std::uint64_t>> three(const Json& object, const char* key) {
  MINERVA_ASSIGN(const Json* value, member(object, key));
  if (!value->is_array() || value->size() != 3) {
    return fail(ErrorCode::Internal, fmt::format("{} is not three numbers", key));
  }
  std::vector<std::uint64_t> numbers;
  for (const Json& entry : *value) {
    MINERVA_ASSIGN(const auto one, wire::bounded<std::uint64_t>(entry, key, {0, kCountMax}));
    numbers.push_back(one);
  }
  return numbers;
}

Result<TokenId> id_of(const Json& value, const EventBounds& bounds) {
  const auto max = static_cast<std::int64_t>(bounds.vocabulary) - 1;
  MINERVA_ASSIGN(const auto id, wire::bounded<std::int64_t>(value, "token", {0, max}));
  return static_cast<TokenId>(id);
}

Result<GenerationEvent> parse_token(const Json& value, const EventBounds& bounds) {
  TokenEvent token;
  MINERVA_ASSIGN(const Json* id, member(value, "token"));
  MINERVA_ASSIGN(token.id, id_of(*id, bounds));
  MINERVA_ASSIGN(token.choice, number<std::uint32_t>(value, "choice", bounds.choices - 1));
  MINERVA_ASSIGN(const Json* bytes, member(value, "bytes"));
  MINERVA_ASSIGN(token.bytes, bytes_of(*bytes));
  if (!value.contains("logprob")) return token;
  MINERVA_ASSIGN(token.logprob, logprob_of(value["logprob"]));
  MINERVA_ASSIGN(const Json* top, member(value, "top"));
  if (!top->is_array() || top->size() > bounds.top_max) {
    return fail(ErrorCode::Internal,
                fmt::format("top has {} entries, {} were asked for", top->size(), bounds.top_max));
  }
  for (const Json& entry : *top) {
    if (!entry.is_array() || entry.size() != 3) {
      return fail(ErrorCode::Internal, "an entry of top is not [id, bytes, logprob]");
    }
    TokenLogprob likely;
    MINERVA_ASSIGN(likely.id, id_of(entry[0], bounds));
    MINERVA_ASSIGN(likely.bytes, bytes_of(entry[1]));
    MINERVA_ASSIGN(likely.logprob, logprob_of(entry[2]));
    token.top.push_back(std::move(likely));
  }
  return token;
}

Result<GenerationEvent> parse_end(const Json& value) {
  EndEvent end;
  MINERVA_ASSIGN(const auto outcome, word(value, "end", kOutcomes));
  end.outcome = static_cast<EndEvent::Outcome>(outcome);
  MINERVA_ASSIGN(const auto usage, three(value, "usage"));
  end.usage = {usage[0], usage[1], usage[2]};
  MINERVA_ASSIGN(const auto times, three(value, "timings_ns"));
  const auto duration = [&](std::size_t i) {
    return Duration(static_cast<Duration::rep>(times[i]));
  };
  end.timings = {duration(0), duration(1), duration(2)};
  constexpr std::uint64_t kSeedMax = std::numeric_limits<std::uint64_t>::max();
  MINERVA_ASSIGN(end.seed, number(value, "seed", kSeedMax));
  if (end.outcome == EndEvent::Outcome::Failed) {
    MINERVA_ASSIGN(const Json* error, member(value, "error"));
    end.error = parse_error(*error);
  }
  return end;
}

}  // namespace

void append_event_json(std::string& out, const GenerationEvent& event) {
  std::visit(Append{out}, event);
}

Result<GenerationEvent> parse_event_json(std::string_view line, const EventBounds& bounds) {
  MINERVA_ASSIGN(const Json value, wire::parse_json(line, {.depth_max = 4, .keys_max = 32}));
  MINERVA_TRY(wire::must_be_object(value, "an event"));
  if (value.contains("token")) return parse_token(value, bounds);
  if (value.contains("end")) return parse_end(value);
  if (value.contains("choice_end")) {
    ChoiceEndEvent choice;
    MINERVA_ASSIGN(choice.choice, number<std::uint32_t>(value, "choice_end", bounds.choices - 1));
    MINERVA_ASSIGN(const auto reason, word(value, "reason", kReasons));
    choice.reason = static_cast<FinishReason>(reason);
    return choice;
  }
  ProgressEvent progress;
  MINERVA_ASSIGN(const auto phase, word(value, "progress", kPhases));
  progress.phase = static_cast<ProgressEvent::Phase>(phase);
  MINERVA_ASSIGN(progress.done, number(value, "done", kCountMax));
  MINERVA_ASSIGN(progress.total, number(value, "total", kCountMax));
  MINERVA_ASSIGN(progress.cached, number(value, "cached", kCountMax));
  return progress;
}

std::string error_json(const Error& error) {
  return fmt::format(R"({{"code":"{}","message":{},"param":{},"origin":{},"retry_after_ms":{}}})",
                     to_string(error.code), wire::json_string(error.message),
                     wire::json_string(error.param), wire::json_string(error.origin),
                     error.retry_after.count());
}

Error parse_error(const Json& value) {
  Error error{ErrorCode::Internal, "the engine gave an error that says nothing", {}, "native"};
  if (!value.is_object()) return error;
  const auto text = [&](const char* key, std::string& to) {
    const Json* found = wire::find(value, key);
    if (found != nullptr && found->is_string()) to = found->get<std::string>();
  };
  std::string code;
  text("code", code);
  for (int i = 0; i <= static_cast<int>(ErrorCode::Internal); ++i) {
    if (to_string(static_cast<ErrorCode>(i)) == code) error.code = static_cast<ErrorCode>(i);
  }
  text("message", error.message);
  text("param", error.param);
  text("origin", error.origin);
  constexpr std::uint64_t kRetryMax = 24ULL * 3600 * 1000;
  if (const Json* wait = wire::find(value, "retry_after_ms")) {
    const auto ms = wire::bounded<std::uint64_t>(*wait, "retry_after_ms", {0, kRetryMax});
    if (ms) error.retry_after = std::chrono::milliseconds(*ms);
  }
  return error;
}

}  // namespace minerva::backend
