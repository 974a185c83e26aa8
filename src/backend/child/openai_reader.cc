#include "backend/child/openai_reader.h"

#include <fmt/core.h>

#include <utility>

#include "wire/fields.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr std::size_t kTextBytesMax = std::size_t{1} << 20;
constexpr std::uint64_t kCountMax = std::uint64_t{1} << 53;
constexpr wire::JsonLimits kLimits{.depth_max = 32, .keys_max = 10'000};

std::uint64_t count_of(const Json& object, const char* key) {
  const Json* value = wire::find(object, key);
  if (value == nullptr) return 0;
  return wire::bounded<std::uint64_t>(*value, key, {0, kCountMax}).value_or(0);
}

}  // namespace

std::unexpected<Error> OpenAiReader::broken(std::string_view what) const {
  return fail(ErrorCode::Unavailable, fmt::format("{} sent {}", speaker_, what));
}

Result<void> OpenAiReader::check_usage(const Usage&) const { return {}; }

Result<std::string> OpenAiReader::text_of(const Json& object, const char* key) const {
  const Json* value = wire::find(object, key);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return broken(fmt::format("a chunk whose {} is no text", key));
  return wire::string(*value, key, kTextBytesMax);
}

Result<void> OpenAiReader::read(const wire::SseEvent& event, std::vector<GenerationEvent>& out) {
  if (finished_) return broken("an event behind [DONE]");
  if (event.data == "[DONE]") {
    finished_ = true;
    return {};
  }
  const auto value = wire::parse_json(event.data, kLimits);
  if (!value || !value->is_object()) return broken("an event that is no JSON object");
  if (wire::find(*value, "error") != nullptr) {
    UpstreamEnd end;
    end.status = 500;
    end.body = event.data;
    return fail(read_refusal(origin_, end));
  }
  if (const Json* choices = wire::find(*value, "choices")) {
    if (!choices->is_array() || choices->size() > 1) {
      return broken("something else than the one choice that was asked for");
    }
    for (const Json& choice : *choices) MINERVA_TRY(read_choice(choice, out));
  }
  const Json* usage = wire::find(*value, "usage");
  return usage == nullptr ? Result<void>() : read_usage(*usage);
}

Result<void> OpenAiReader::read_choice(const Json& choice, std::vector<GenerationEvent>& out) {
  if (!choice.is_object()) return broken("a choice that is no object");
  const Json* index = wire::find(choice, "index");
  if (index != nullptr && !wire::bounded<std::uint32_t>(*index, "index", {0, 0})) {
    return broken("another choice than the one that was asked for");
  }
  Words words;
  MINERVA_ASSIGN(words.text, text_of(choice, "text"));
  if (const Json* delta = wire::find(choice, "delta")) {
    if (!delta->is_object()) return broken("a delta that is no object");
    const Json* calls = wire::find(*delta, "tool_calls");
    if (calls != nullptr && !(calls->is_array() && calls->empty())) {
      // It was read out of the text, where it cannot be put back.
      return fail(ErrorCode::Unsupported,
                  fmt::format("{} answered with a tool call that nobody asked for", speaker_));
    }
    MINERVA_ASSIGN(const std::string content, text_of(*delta, "content"));
    words.text += content;
    for (const char* key : {"reasoning_content", "reasoning"}) {
      if (!words.reasoning.empty()) break;
      MINERVA_ASSIGN(words.reasoning, text_of(*delta, key));
    }
  }
  const Json* reason = wire::find(choice, "finish_reason");
  words.last = reason != nullptr;
  std::string bytes = join(std::move(words));
  if (!bytes.empty()) {
    if (ended_) return broken("more behind the end of its answer");
    out.emplace_back(TokenEvent{0, std::nullopt, std::move(bytes), {}, {}});
  }
  return reason == nullptr || ended_ ? Result<void>() : read_end(*reason, out);
}

Result<void> OpenAiReader::read_end(const Json& reason, std::vector<GenerationEvent>& out) {
  ended_ = true;
  if (reason == "stop" || reason == "eos") {
    out.emplace_back(ChoiceEndEvent{0, FinishReason::Stop});
  } else if (reason == "length") {
    out.emplace_back(ChoiceEndEvent{0, FinishReason::Length});
  } else {
    return broken("an answer that ended because of " + cleaned_message(wire::dump_json(reason)));
  }
  return {};
}

Result<void> OpenAiReader::read_usage(const Json& usage) {
  if (!usage.is_object()) return broken("a usage that is no object");
  usage_.prompt_tokens = count_of(usage, "prompt_tokens");
  usage_.completion_tokens = count_of(usage, "completion_tokens");
  const Json* details = wire::find(usage, "prompt_tokens_details");
  if (details != nullptr && details->is_object()) {
    usage_.cached_tokens = count_of(*details, "cached_tokens");
  }
  return check_usage(usage_);
}

std::string OpenAiReader::join(Words words) {
  std::string bytes;
  if (!words.reasoning.empty()) {
    if (!std::exchange(thinking_, true)) bytes += "<think>";
    bytes += words.reasoning;
  }
  if (thinking_ && (!words.text.empty() || words.last)) {
    bytes += "</think>";
    thinking_ = false;
  }
  return bytes + words.text;
}

}  // namespace minerva::backend
