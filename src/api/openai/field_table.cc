#include "api/openai/field_table.h"

#include <fmt/core.h>

#include <array>

#include "api/openai/field_readers.h"
#include "api/openai/messages.h"

namespace minerva::api::openai {
namespace {

using backend::SamplingParams;
using wire::Json;

constexpr auto kFloat = Field::Number::Float;
constexpr auto kInteger = Field::Number::Integer;
constexpr double kIntMax = 2147483647;

constexpr Field honoured(std::string_view name, std::uint8_t endpoints, std::string_view accepts,
                         std::string_view note, decltype(Field::read) read) {
  return {name, endpoints, FieldClass::Honoured, accepts, note, read, Field::Number::No, {0, 0}};
}

constexpr Field number(std::string_view name, std::uint8_t endpoints, Field::Number kind,
                       wire::Range<double> range, std::string_view note,
                       decltype(Field::read) read) {
  return {name, endpoints, FieldClass::Honoured, "", note, read, kind, range};
}

constexpr Field refused(std::string_view name, std::uint8_t endpoints, std::string_view why) {
  return {name, endpoints, FieldClass::Refused, "", why, refuse, Field::Number::No, {0, 0}};
}

constexpr Field advisory(std::string_view name, std::string_view note) {
  return {name, kBoth, FieldClass::Advisory, "", note, nullptr, Field::Number::No, {0, 0}};
}

// Rows whose readers live in messages.h and take no row.
template <Result<void> (*Read)(const Json&, Draft&)>
Result<void> without_row(const Json& value, const Field&, Draft& draft) {
  return Read(value, draft);
}

Result<void> read_repetition_penalty(const Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.repetition_penalty, wire::bounded_float(value, field.name, field.range));
  return {};
}

constexpr std::array kTable = {
    honoured("model", kBoth, "string up to 512 bytes", "absent or empty: the default model",
             read_model),
    honoured("messages", kChat, "list of messages", "required; see below",
             without_row<read_messages>),
    honoured("prompt", kCompletions, "string, list of one string, token ids, list of one of those",
             "required; one prompt a request", read_prompt),
    honoured("tools", kChat, "list of functions",
             "rendered by the model's template; calls come back as text for now",
             without_row<read_tools>),
    honoured("tool_choice", kChat, "auto, none",
             "none: the template does not see the tools; required and a named function are a 400",
             read_tool_choice),
    honoured("parallel_tool_calls", kChat, "true", "false with tools is a 400",
             read_parallel_tool_calls),
    honoured("documents", kChat, "list of objects", "given to the template",
             without_row<read_documents>),
    honoured("chat_template_kwargs", kChat, "object of scalars",
             "variables for the template; names that the server gives are a 400",
             without_row<read_template_kwargs>),
    honoured("add_generation_prompt", kChat, "boolean", "default true", read_add_generation_prompt),
    honoured("reasoning_effort", kChat, "none, minimal, low, medium, high, xhigh",
             "given to the template as the variable `reasoning_effort`", read_reasoning_effort),
    number("max_tokens", kBoth, kInteger, {1, kIntMax}, "absent: until the context is full",
           read_max_tokens),
    number("max_completion_tokens", kBoth, kInteger, {1, kIntMax},
           "the newer name of `max_tokens`; both with different values are a 400",
           read_max_completion_tokens),
    number("temperature", kBoth, kFloat, {0, 5}, "default 1; 0 is greedy",
           read_sampling_float<&SamplingParams::temperature>),
    number("top_p", kBoth, kFloat, {0, 1, true}, "default 1: off",
           read_sampling_float<&SamplingParams::top_p>),
    number("top_k", kBoth, kInteger, {-1, kIntMax}, "default 0: off; -1: off", read_top_k),
    number("min_p", kBoth, kFloat, {0, 1}, "default 0: off",
           read_sampling_float<&SamplingParams::min_p>),
    number("typical_p", kBoth, kFloat, {0, 1, true}, "default 1: off",
           read_sampling_float<&SamplingParams::typical_p>),
    number("repetition_penalty", kBoth, kFloat, {0.01, 10}, "default 1: off",
           read_repetition_penalty),
    number("repeat_penalty", kBoth, kFloat, {0.01, 10},
           "another name of `repetition_penalty`; both with different values are a 400",
           read_repeat_penalty),
    number("repeat_last_n", kBoth, kInteger, {-1, kIntMax},
           "tokens that the repetition penalty looks at; default 64, -1: all, 0: penalty off",
           read_repeat_last_n),
    number("presence_penalty", kBoth, kFloat, {-2, 2}, "default 0",
           read_sampling_float<&SamplingParams::presence_penalty>),
    number("frequency_penalty", kBoth, kFloat, {-2, 2}, "default 0",
           read_sampling_float<&SamplingParams::frequency_penalty>),
    honoured("logit_bias", kBoth, "object: token id to a number from -100 to 100",
             "up to 1024 tokens; added to the logits", read_logit_bias),
    honoured("seed", kBoth, "any 64-bit integer",
             "absent: drawn, and reported as `minerva.seed`; negative ones count as unsigned",
             read_seed),
    honoured("stop", kBoth, "string or list of up to 16, 1 to 256 bytes each",
             "the answer ends before the first of these", read_stop),
    number("n", kBoth, kInteger, {1, 16}, "choices from one prompt", read_n),
    number("best_of", kCompletions, kInteger, {1, 16}, "1 or the same as `n`", read_best_of),
    honoured("stream", kBoth, "boolean", "default false", read_flag<&Draft::stream>),
    honoured("stream_options", kBoth, "object",
             "`include_usage`; without `stream` it asks for nothing", read_stream_options),
    honoured("logprobs", kChat, "boolean", "of the chosen tokens", read_flag<&Draft::logprobs>),
    number("top_logprobs", kChat, kInteger, {0, 20},
           "of the likeliest; needs `logprobs`; n x (1 + top_logprobs) is at most 84",
           read_top_logprobs),
    number("logprobs", kCompletions, kInteger, {0, 20},
           "of the chosen and the likeliest tokens; n x (1 + logprobs) is at most 84",
           read_completion_logprobs),
    honoured("echo", kCompletions, "boolean",
             "the prompt comes first in the answer; with `logprobs` a 400", read_echo),
    honoured("response_format", kBoth, "{\"type\":\"text\"}",
             "json_object and json_schema are a 400 for now", read_response_format),
    honoured("modalities", kChat, "[\"text\"]", "other kinds of answers are a 400",
             read_modalities),
    honoured("ignore_eos", kBoth, "boolean",
             "goes on past end-of-generation tokens: for measurements", read_ignore_eos),
    honoured("backend", kBoth, "auto, or an engine's name", "which engine answers; default auto",
             read_backend),
    honoured("fallback", kBoth, "list of up to 8 engines' names",
             "engines to go on with when the first fails before its first token, in this order; "
             "default as configured",
             read_fallback),
    number("timeout", kBoth, kFloat, {0, 86400, true},
           "seconds for the whole answer; past it the request fails", read_timeout),
    honoured("strict", kBoth, "boolean", "unknown fields are a 400", read_flag<&Draft::strict>),

    refused("suffix", kCompletions, "no model here fills in the middle"),
    refused("audio", kChat, "answers are text only"),
    refused("functions", kChat, "deprecated; use tools"),
    refused("function_call", kChat, "deprecated; use tool_choice"),
    refused("web_search_options", kChat, "nothing here searches the web"),
    refused("chat_template", kChat, "templates come from the model or the configuration"),
    refused("continue_final_message", kChat, "the last message cannot be continued yet"),
    refused("guided_json", kBoth, "answers are not yet held to a schema"),
    refused("guided_regex", kBoth, "answers are not yet held to an expression"),
    refused("guided_choice", kBoth, "answers are not yet held to a list"),
    refused("guided_grammar", kBoth, "answers are not yet held to a grammar"),
    refused("structured_outputs", kBoth, "answers are not yet held to a schema"),
    refused("grammar", kBoth, "answers are not yet held to a grammar"),
    refused("json_schema", kBoth, "answers are not yet held to a schema"),
    refused("min_tokens", kBoth, "use ignore_eos with max_tokens for measurements"),
    refused("stop_token_ids", kBoth, "use stop with strings"),
    refused("bad_words", kBoth, "use logit_bias"),
    refused("include_stop_str_in_output", kBoth, "the answer ends before the stop string"),
    refused("prompt_logprobs", kBoth, "log-probabilities of the prompt are not reported"),
    refused("use_beam_search", kBoth, "there is no beam search"),
    refused("mirostat", kBoth, "this sampler is not implemented"),
    refused("xtc_probability", kBoth, "this sampler is not implemented"),
    refused("dry_multiplier", kBoth, "this sampler is not implemented"),
    refused("dynatemp_range", kBoth, "this sampler is not implemented"),
    refused("top_n_sigma", kBoth, "this sampler is not implemented"),
    refused("lora", kBoth, "adapters cannot be chosen by a request"),

    advisory("user", "whom the answer is for"),
    advisory("metadata", "kept by nobody"),
    advisory("store", "nothing is stored"),
    advisory("service_tier", "there is one"),
    advisory("safety_identifier", "sent to nobody"),
    advisory("prompt_cache_key", "prefixes are found by their content"),
    advisory("prompt_cache_retention", "the cache keeps what fits"),
    advisory("cache_prompt", "prefixes are always reused"),
    advisory("prediction", "the answer is the same with it"),
    advisory("verbosity", "models here have no such control"),
};

}  // namespace

std::span<const Field> field_table() { return kTable; }

const Field* find_field(std::string_view name, Endpoints endpoint) {
  const Field* other = nullptr;
  for (const Field& field : kTable) {
    if (field.name != name) continue;
    if ((field.endpoints & endpoint) != 0) return &field;
    other = &field;
  }
  return other;
}

std::string_view endpoints_text(const Field& field) {
  if (field.endpoints == kBoth) return "both";
  return field.endpoints == kChat ? "chat" : "completions";
}

std::string accepts_text(const Field& field) {
  if (field.number == Field::Number::No) return std::string(field.accepts);
  if (field.number == kInteger) {
    return fmt::format("integer from {:.0f} to {:.0f}", field.range.min, field.range.max);
  }
  return fmt::format("number {} {} to {}", field.range.above_min ? "above" : "from",
                     field.range.min, field.range.max);
}

}  // namespace minerva::api::openai
