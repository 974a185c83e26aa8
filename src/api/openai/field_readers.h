// The functions that the rows of field_table.cc name: each reads one field's value, which is never
// null, into the draft. Private to this folder.
#pragma once

#include "api/openai/field_table.h"

namespace minerva::api::openai {

// Numbers with the row's range.
template <float backend::SamplingParams::* Member>
Result<void> read_sampling_float(const wire::Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.request.sampling.*Member,
                 wire::bounded_float(value, field.name, field.range));
  return {};
}

// The row's range as integers; rows hold none past 2^53.
template <std::integral T>
Result<T> read_integer(const wire::Json& value, const Field& field) {
  return wire::bounded<T>(value, field.name,
                          {static_cast<T>(field.range.min), static_cast<T>(field.range.max)});
}

template <bool Draft::* Member>
Result<void> read_flag(const wire::Json& value, const Field& field, Draft& draft) {
  MINERVA_ASSIGN(draft.*Member, wire::boolean(value, field.name));
  return {};
}

Result<void> read_model(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_backend(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_fallback(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_prompt(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_max_tokens(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_max_completion_tokens(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_top_k(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_repeat_penalty(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_repeat_last_n(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_logit_bias(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_seed(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_stop(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_n(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_best_of(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_stream_options(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_top_logprobs(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_completion_logprobs(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_tool_choice(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_parallel_tool_calls(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_response_format(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_reasoning_effort(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_modalities(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_timeout(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_echo(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_ignore_eos(const wire::Json& value, const Field& field, Draft& draft);
Result<void> read_add_generation_prompt(const wire::Json& value, const Field& field, Draft& draft);

// For fields that cannot be honoured: passes what asks for nothing.
Result<void> refuse(const wire::Json& value, const Field& field, Draft& draft);
bool asks_for_nothing(const wire::Json& value);

}  // namespace minerva::api::openai
