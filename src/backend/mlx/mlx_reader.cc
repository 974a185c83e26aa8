#include "backend/mlx/mlx_reader.h"

#include <fmt/core.h>

#include <utility>

#include "wire/fields.h"
#include "wire/http_grammar.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr std::size_t kTextBytesMax = std::size_t{1} << 20;
constexpr std::uint64_t kCountMax = std::uint64_t{1} << 53;

std::unexpected<Error> broken(std::string what) {
  return fail(ErrorCode::Unavailable, fmt::format("mlx_lm.server sent {}", what));
}

Result<std::string> text_of(const Json& delta, const char* key) {
  const Json* value = wire::find(delta, key);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return broken(fmt::format("a delta whose {} is no text", key));
  return wire::string(*value, key, kTextBytesMax);
}

}  // namespace

Result<void> MlxReader::read(const wire::SseEvent& event, std::vector<GenerationEvent>& out) {
  if (finished_) return broken("an event behind [DONE]");
  if (event.data == "[DONE]") {
    finished_ = true;
    return {};
  }
  const auto value = wire::parse_json(event.data, {.depth_max = 16, .keys_max = 1000});
  if (!value || !value->is_object()) return broken("an event that is no JSON object");
  if (const Json* error = wire::find(*value, "error")) {
    const std::string words = error->is_string() ? error->get<std::string>() : std::string("one");
    return fail(ErrorCode::Unavailable, "the engine reported an error: " + cleaned_message(words));
  }
  const Json* choices = wire::find(*value, "choices");
  if (choices == nullptr || !choices->is_array() || choices->size() > 1) {
    return broken("an event without the one choice that was asked for");
  }
  if (!choices->empty()) MINERVA_TRY(read_choice((*choices)[0], out));
  const Json* usage = wire::find(*value, "usage");
  return usage == nullptr ? Result<void>() : read_usage(*usage);
}

Result<void> MlxReader::read_choice(const Json& choice, std::vector<GenerationEvent>& out) {
  if (ended_) return broken("more behind the end of its answer");
  if (!choice.is_object()) return broken("a choice that is no object");
  const Json* index = wire::find(choice, "index");
  if (index == nullptr || !wire::bounded<std::uint32_t>(*index, "index", {0, 0})) {
    return broken("another choice than the one that was asked for");
  }
  const Json* delta = wire::find(choice, "delta");
  std::string bytes;
  if (delta != nullptr) {
    if (!delta->is_object()) return broken("a delta that is no object");
    if (wire::find(*delta, "tool_calls") != nullptr) {
      // It has read a tool call out of the text, which cannot be put together again.
      return fail(ErrorCode::Unsupported,
                  "the model called a tool in a form that mlx_lm.server takes out of the text");
    }
    MINERVA_ASSIGN(std::string reasoning, text_of(*delta, "reasoning"));
    MINERVA_ASSIGN(std::string content, text_of(*delta, "content"));
    // An event may hold both, around a mark; which came first, only the state before it tells.
    const bool thinking_first = thinking_;
    put_text(thinking_first, std::move(thinking_first ? reasoning : content), bytes);
    put_text(!thinking_first, std::move(thinking_first ? content : reasoning), bytes);
  }
  if (!bytes.empty()) out.emplace_back(TokenEvent{0, std::nullopt, std::move(bytes), {}, {}});
  const Json* reason = wire::find(choice, "finish_reason");
  if (reason == nullptr) return {};
  ended_ = true;
  if (*reason == "stop") {
    out.emplace_back(ChoiceEndEvent{0, FinishReason::Stop});
  } else if (*reason == "length") {
    out.emplace_back(ChoiceEndEvent{0, FinishReason::Length});
  } else {
    return broken("an end with the unknown reason " + cleaned_message(wire::dump_json(*reason)));
  }
  return {};
}

void MlxReader::put_text(bool thinking, std::string text, std::string& bytes) {
  if (text.empty()) return;
  if (thinking != thinking_) {
    if (expected_.marks) bytes += thinking ? expected_.marks->begin : expected_.marks->end;
    thinking_ = thinking;
  }
  bytes += text;
}

Result<void> MlxReader::read_usage(const Json& usage) {
  if (!usage.is_object()) return broken("a usage that is no object");
  const auto count = [](const Json& object, const char* key) -> std::uint64_t {
    const Json* value = wire::find(object, key);
    if (value == nullptr) return 0;
    return wire::bounded<std::uint64_t>(*value, key, {0, kCountMax}).value_or(0);
  };
  usage_.prompt_tokens = count(usage, "prompt_tokens");
  usage_.completion_tokens = count(usage, "completion_tokens");
  const Json* details = wire::find(usage, "prompt_tokens_details");
  if (details != nullptr && details->is_object()) {
    usage_.cached_tokens = count(*details, "cached_tokens");
  }
  if (expected_.prompt_tokens != 0 && usage_.prompt_tokens != expected_.prompt_tokens) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("mlx_lm.server makes {} tokens of a text of which Minerva makes {}: "
                            "prompts would not be what was asked for",
                            usage_.prompt_tokens, expected_.prompt_tokens));
  }
  return {};
}

// "keepalive 512/1500": of the prompt's tokens, so many are computed.
void MlxReader::read_comment(std::string_view text, std::vector<GenerationEvent>& out) {
  text = wire::trim(text);
  constexpr std::string_view kWord = "keepalive ";
  if (!text.starts_with(kWord)) return;
  text.remove_prefix(kWord.size());
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return;
  const auto done = wire::parse_decimal(text.substr(0, slash));
  const auto total = wire::parse_decimal(text.substr(slash + 1));
  if (!done || !total || *done > *total) return;
  out.emplace_back(ProgressEvent{ProgressEvent::Phase::Prefill, *done, *total, 0});
}

}  // namespace minerva::backend
