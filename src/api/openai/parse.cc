#include "api/openai/parse.h"

#include <fmt/core.h>

#include <string>
#include <utility>
#include <vector>

#include "api/nearest.h"
#include "api/openai/body.h"
#include "api/openai/draft.h"
#include "api/openai/encode.h"
#include "api/openai/field_readers.h"
#include "api/openai/field_table.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {
namespace {

using wire::Json;

// Every token of every choice keeps this many log-probabilities until the answer is sent: n = 4
// with all 20, or n = 16 with 4 (security.md S15).
constexpr std::uint64_t kLogprobsPerStepMax = 84;

// What the client gives itself is not filled in by the model's configuration.
void note_given(std::string_view name, serve::GivenFields& given) {
  if (name == "temperature") given.temperature = true;
  if (name == "top_p") given.top_p = true;
  if (name == "top_k") given.top_k = true;
  if (name == "min_p") given.min_p = true;
  if (name == "repetition_penalty" || name == "repeat_penalty" || name == "repeat_last_n") {
    given.repetition_penalty = true;
  }
}

Result<void> read_field(const std::string& name, const Json& value, Draft& draft) {
  if (value.is_null()) return {};
  const Field* field = find_field(name, draft.endpoint);
  if (field == nullptr) {
    draft.ignore(name);
    return {};
  }
  if (field->kind == FieldClass::Advisory) return {};
  if ((field->endpoints & draft.endpoint) == 0) {
    if (asks_for_nothing(value)) return {};
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' belongs to /v1/{}", name,
                            field->endpoints == kChat ? "chat/completions" : "completions"),
                name);
  }
  MINERVA_TRY(field->read(value, *field, draft));
  note_given(name, draft.request.given);
  return {};
}

// Two names of one setting: the value that was given, or a refusal when they disagree.
template <class T>
Result<std::optional<T>> one_of(std::optional<T> a, std::string_view a_name, std::optional<T> b,
                                std::string_view b_name) {
  if (a && b && *a != *b) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' is {} and '{}' is {}: give one of them", a_name, *a, b_name, *b),
                std::string(b_name));
  }
  return a ? a : b;
}

Result<void> settle_sampling(Draft& draft) {
  serve::Request& request = draft.request;
  MINERVA_ASSIGN(request.max_tokens, one_of(request.max_tokens, "max_tokens",
                                            draft.max_completion_tokens, "max_completion_tokens"));
  MINERVA_ASSIGN(const std::optional<float> penalty,
                 one_of(draft.repetition_penalty, "repetition_penalty", draft.repeat_penalty,
                        "repeat_penalty"));
  if (penalty) request.sampling.repetition_penalty = *penalty;
  if (draft.repeat_last_n) {
    // Our window of 0 means all tokens; theirs means no penalty.
    if (*draft.repeat_last_n == 0) request.sampling.repetition_penalty = 1.0F;
    request.sampling.repetition_window =
        *draft.repeat_last_n > 0 ? static_cast<std::uint32_t>(*draft.repeat_last_n) : 0;
  }
  if (draft.best_of && *draft.best_of != 1 && *draft.best_of != request.n) {
    return fail(ErrorCode::Unsupported,
                fmt::format("'best_of' is {} and 'n' is {}: every choice made is returned",
                            *draft.best_of, request.n),
                "best_of");
  }
  return {};
}

Result<void> settle_logprobs(Draft& draft) {
  const char* const field = draft.endpoint == kChat ? "top_logprobs" : "logprobs";
  if (!draft.logprobs) {
    if (draft.top_logprobs.value_or(0) == 0) return {};
    return fail(ErrorCode::InvalidArgument, "'top_logprobs' needs 'logprobs' to be true", field);
  }
  if (draft.request.echo) {
    return fail(ErrorCode::Unsupported,
                "'echo' with 'logprobs': log-probabilities of the prompt are not reported", "echo");
  }
  draft.request.logprobs = draft.top_logprobs.value_or(0);
  const auto each = static_cast<std::uint64_t>(draft.request.logprobs) + 1;
  if (draft.request.n * each > kLogprobsPerStepMax) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'n' x (1 + '{}') may be {}, got {}", field, kLogprobsPerStepMax,
                            draft.request.n * each),
                field);
  }
  return {};
}

Result<void> settle_chat(Draft& draft) {
  chat::Conversation& conversation = draft.conversation;
  if (conversation.messages.empty()) {
    return fail(ErrorCode::InvalidArgument, "'messages' is required", "messages");
  }
  if (draft.hide_tools) conversation.tools.clear();
  if (draft.one_tool_call && !conversation.tools.empty()) {
    return fail(ErrorCode::Unsupported,
                "'parallel_tool_calls' false: the number of calls cannot be held to one yet",
                "parallel_tool_calls");
  }
  if (draft.reasoning_effort) {
    Json& kwargs = conversation.template_kwargs;
    if (kwargs.is_null()) kwargs = Json::object();
    const auto [it, added] = kwargs.emplace("reasoning_effort", *draft.reasoning_effort);
    if (!added && *it != *draft.reasoning_effort) {
      return fail(ErrorCode::InvalidArgument,
                  "'reasoning_effort' differs from the one in 'chat_template_kwargs'",
                  "reasoning_effort");
    }
  }
  draft.request.prompt = std::move(conversation);
  return {};
}

Result<void> settle_completion(Draft& draft) {
  if (!draft.prompt) return fail(ErrorCode::InvalidArgument, "'prompt' is required", "prompt");
  draft.request.prompt = std::move(*draft.prompt);
  return {};
}

// `strict`: every unknown field, each with what was probably meant.
Result<void> refuse_ignored(const Draft& draft) {
  if (draft.ignored.empty()) return {};
  std::vector<std::string_view> known;
  for (const Field& field : field_table()) {
    if ((field.endpoints & draft.endpoint) != 0) known.push_back(field.name);
  }
  std::string message = "unknown fields:";
  for (const std::string& name : draft.ignored) {
    message += fmt::format(" {}", wire::json_string(name));
    if (const auto meant = nearest_name(name, known)) {
      message += fmt::format(" (did you mean '{}'?)", *meant);
    }
  }
  return fail(ErrorCode::InvalidArgument, std::move(message), draft.ignored.front());
}

Result<Draft> read_draft(const Json& json, const CallContext& context, Endpoints endpoint) {
  Draft draft;
  draft.endpoint = endpoint;
  draft.context = &context;
  for (const auto& [name, value] : json.items()) MINERVA_TRY(read_field(name, value, draft));
  if (draft.strict || context.strict) MINERVA_TRY(refuse_ignored(draft));
  MINERVA_TRY(settle_sampling(draft));
  MINERVA_TRY(settle_logprobs(draft));
  MINERVA_TRY(endpoint == kChat ? settle_chat(draft) : settle_completion(draft));
  return draft;
}

Result<Call> make_call(std::string_view body, const CallContext& context, Endpoints endpoint) {
  MINERVA_ASSIGN(const Json json, read_object(body));
  MINERVA_ASSIGN(Draft draft, read_draft(json, context, endpoint));
  Call call;
  call.request = std::move(draft.request);
  call.request.id = (endpoint == kChat ? "chatcmpl-" : "cmpl-") + context.request_id;
  call.request.client_id = context.client_id;
  call.request.whole = !draft.stream;
  for (const std::string& name : draft.ignored) call.ignored.push_back(header_name(name));
  EncoderOptions options{call.request.id,   call.request.model, context.system_fingerprint,
                         context.unix_time, call.request.n,     call.request.logprobs,
                         draft.stream,      draft.include_usage};
  call.encoder = endpoint == kChat ? make_chat_encoder(std::move(options))
                                   : make_completion_encoder(std::move(options));
  return call;
}

}  // namespace

Result<Call> parse_chat_completion(std::string_view body, const CallContext& context) {
  return guarded([&] { return make_call(body, context, kChat); });
}

Result<Call> parse_completion(std::string_view body, const CallContext& context) {
  return guarded([&] { return make_call(body, context, kCompletions); });
}

Result<serve::Request> parse_route_question(std::string_view body, const CallContext& context) {
  return guarded([&]() -> Result<serve::Request> {
    MINERVA_ASSIGN(const Json json, read_object(body));
    const bool messages = wire::find(json, "messages") != nullptr;
    if (messages == (wire::find(json, "prompt") != nullptr)) {
      return fail(ErrorCode::InvalidArgument,
                  messages ? "the body has 'messages' and 'prompt': give one of them"
                           : "the body needs 'messages', as a chat, or 'prompt', as a completion");
    }
    MINERVA_ASSIGN(Draft draft, read_draft(json, context, messages ? kChat : kCompletions));
    draft.request.id = "route-" + context.request_id;
    draft.request.client_id = context.client_id;
    return std::move(draft.request);
  });
}

}  // namespace minerva::api::openai
