#include "backend/remote/remote_reader.h"

#include <fmt/core.h>

#include <utility>

#include "wire/fields.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr std::size_t kTextBytesMax = std::size_t{1} << 20;
constexpr std::uint64_t kCountMax = std::uint64_t{1} << 53;

std::unexpected<Error> broken(std::string what) {
  return fail(ErrorCode::Unavailable, fmt::format("the server sent {}", what));
}

Result<std::string> text_of(const Json& object, const char* key) {
  const Json* value = wire::find(object, key);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return broken(fmt::format("a chunk whose {} is no text", key));
  return wire::string(*value, key, kTextBytesMax);
}

std::uint64_t count_of(const Json& object, const char* key) {
  const Json* value = wire::find(object, key);
  if (value == nullptr) return 0;
  return wire::bounded<std::uint64_t>(*value, key, {0, kCountMax}).value_or(0);
}

}  // namespace

Result<void> RemoteReader::read(const wire::SseEvent& event, std::vector<GenerationEvent>& out) {
  if (finished_) return broken("an event behind [DONE]");
  if (event.data == "[DONE]") {
    finished_ = true;
    return {};
  }
  const auto value = wire::parse_json(event.data, {.depth_max = 32, .keys_max = 10'000});
  if (!value || !value->is_object()) return broken("an event that is no JSON object");
  if (wire::find(*value, "error") != nullptr) {
    UpstreamEnd end;
    end.status = 500;
    end.body = event.data;
    return fail(read_refusal(name_, end));
  }
  const Json* choices = wire::find(*value, "choices");
  if (choices != nullptr && !choices->is_array()) return broken("choices that are no list");
  if (choices != nullptr) {
    for (const Json& choice : *choices) MINERVA_TRY(read_choice(choice, out));
  }
  const Json* usage = wire::find(*value, "usage");
  if (usage != nullptr && usage->is_object()) read_usage(*usage);
  return {};
}

Result<void> RemoteReader::read_choice(const Json& choice, std::vector<GenerationEvent>& out) {
  if (!choice.is_object()) return broken("a choice that is no object");
  const Json* index = wire::find(choice, "index");
  if (index != nullptr && !wire::bounded<std::uint32_t>(*index, "index", {0, 0})) {
    return broken("another choice than the one that was asked for");
  }
  MINERVA_ASSIGN(std::string text, text_of(choice, "text"));
  std::string reasoning;
  if (const Json* delta = wire::find(choice, "delta")) {
    if (!delta->is_object()) return broken("a delta that is no object");
    const Json* calls = wire::find(*delta, "tool_calls");
    if (calls != nullptr && !calls->empty()) {
      return fail(ErrorCode::Unsupported, "the server answered with a tool call, unasked");
    }
    MINERVA_ASSIGN(const std::string content, text_of(*delta, "content"));
    text += content;
    for (const char* key : {"reasoning_content", "reasoning"}) {
      if (reasoning.empty()) {
        MINERVA_ASSIGN(reasoning, text_of(*delta, key));
      }
    }
  }
  // What the model thought, which such servers give apart, in the form that models write it in.
  std::string bytes;
  if (!reasoning.empty()) {
    if (!thinking_) bytes += "<think>";
    thinking_ = true;
    bytes += reasoning;
  }
  const Json* reason = wire::find(choice, "finish_reason");
  if (thinking_ && (!text.empty() || reason != nullptr)) {
    bytes += "</think>";
    thinking_ = false;
  }
  bytes += text;
  if (!bytes.empty()) {
    if (ended_) return broken("more behind the end of its answer");
    out.emplace_back(TokenEvent{0, std::nullopt, std::move(bytes), {}, {}});
  }
  if (reason == nullptr || ended_) return {};
  ended_ = true;
  if (*reason == "stop" || *reason == "eos") {
    out.emplace_back(ChoiceEndEvent{0, FinishReason::Stop});
  } else if (*reason == "length") {
    out.emplace_back(ChoiceEndEvent{0, FinishReason::Length});
  } else {
    return broken("an answer that ended because of " + cleaned_message(wire::dump_json(*reason)));
  }
  return {};
}

void RemoteReader::read_usage(const Json& usage) {
  usage_.prompt_tokens = count_of(usage, "prompt_tokens");
  usage_.completion_tokens = count_of(usage, "completion_tokens");
  const Json* details = wire::find(usage, "prompt_tokens_details");
  if (details != nullptr && details->is_object()) {
    usage_.cached_tokens = count_of(*details, "cached_tokens");
  }
}

}  // namespace minerva::backend
