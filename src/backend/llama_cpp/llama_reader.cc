#include "backend/llama_cpp/llama_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "wire/fields.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr std::uint64_t kCountMax = std::uint64_t{1} << 40;
// Tokens that one event may stand for: a character has at most four bytes, so few are held back.
constexpr std::uint64_t kHeldBackMax = 64;

constexpr std::string_view kNoCharacter = "\xEF\xBF\xBD";  // U+FFFD

// Once there are bytes in an answer that are no UTF-8, it sends nothing more of it, and at the end
// this in its place (b10434).
bool about_bytes(const Json& error) {
  const Json* message = error.is_object() ? wire::find(error, "message") : nullptr;
  if (message == nullptr || !message->is_string()) return false;
  const auto& text = message->get_ref<const std::string&>();
  return text.find("does not match the expected") != std::string::npos &&
         text.find("format") != std::string::npos;
}

std::unexpected<Error> broken(std::string_view what) {
  return fail(Error{
      ErrorCode::Unavailable, fmt::format("llama-server's stream {}", what), {}, "llama_cpp"});
}

Result<std::uint64_t> count_at(const Json& object, std::string_view key) {
  const Json* value = wire::find(object, key);
  if (value == nullptr) return 0;
  return wire::bounded<std::uint64_t>(*value, key, {0, kCountMax});
}

Result<TokenId> id_of(const Json& value) {
  return wire::bounded<TokenId>(value, "tokens", {0, std::numeric_limits<TokenId>::max()});
}

// completion_probabilities[0]: the chosen token's, and the likeliest.
Result<void> read_logprobs(const Json& event, TokenEvent& token) {
  const Json* list = wire::find(event, "completion_probabilities");
  if (list == nullptr || !list->is_array() || list->empty()) return {};
  // The last entry is the token that the event names.
  const Json& chosen = list->back();
  if (!chosen.is_object()) return broken("has log-probabilities that are no objects");
  const auto logprob = [](const Json& entry) -> Result<float> {
    const Json* value = wire::find(entry, "logprob");
    if (value == nullptr) return broken("has a token without its logprob");
    return wire::bounded_float(*value, "logprob", {std::numeric_limits<float>::lowest(), 1e-3});
  };
  MINERVA_ASSIGN(token.logprob, logprob(chosen));
  const Json* top = wire::find(chosen, "top_logprobs");
  if (top == nullptr || !top->is_array()) return {};
  for (const Json& entry : *top) {
    if (!entry.is_object() || wire::find(entry, "id") == nullptr)
      return broken("has a likely token without its id");
    TokenLogprob likely;
    MINERVA_ASSIGN(likely.id, id_of(*wire::find(entry, "id")));
    MINERVA_ASSIGN(likely.logprob, logprob(entry));
    const Json* text = wire::find(entry, "token");
    if (text != nullptr && text->is_string()) likely.bytes = text->get<std::string>();
    token.top.push_back(std::move(likely));
  }
  return {};
}

}  // namespace

LlamaReader::LlamaReader(std::uint32_t choices, std::shared_ptr<const text::Tokenizer> tokenizer,
                         std::uint64_t max_tokens)
    : tokenizer_(std::move(tokenizer)), max_tokens_(max_tokens), choices_(choices) {}

Result<void> LlamaReader::read(const wire::SseEvent& event, std::vector<GenerationEvent>& out) {
  if (event.data == "[DONE]") return {};
  const auto json = wire::parse_json(event.data);
  if (!json) return broken(fmt::format("holds an event that is no JSON: {}", json.error().message));
  if (!json->is_object()) return broken("holds an event that is no object");
  if (const Json* error = wire::find(*json, "error")) return read_error(event, *error, out);
  MINERVA_ASSIGN(const std::uint64_t index, count_at(*json, "index"));
  if (index >= choices_.size()) {
    return broken(fmt::format("answers for choice {} of {}", index, choices_.size()));
  }
  const auto choice = static_cast<std::uint32_t>(index);
  if (const Json* progress = wire::find(*json, "prompt_progress")) {
    return read_progress(*progress, out);
  }
  const Json* stop = wire::find(*json, "stop");
  if (stop != nullptr && stop->is_boolean() && stop->get<bool>()) {
    return read_last(*json, choice, out);
  }
  return read_tokens(*json, choice, out);
}

Result<void> LlamaReader::read_error(const wire::SseEvent& event, const Json& error,
                                     std::vector<GenerationEvent>& out) {
  if (about_bytes(error)) {
    // Where only one token can be behind what it has sent, that is what it cannot send.
    Choice& choice = choices_.front();
    if (choices_.size() == 1 && !choice.ended && !choice.held &&
        choice.predicted + 1 == max_tokens_) {
      choice.ended = true;
      ++ended_;
      usage_.completion_tokens += max_tokens_;
      TokenEvent token;
      token.bytes = kNoCharacter;
      out.emplace_back(std::move(token));
      out.emplace_back(ChoiceEndEvent{0, FinishReason::Length});
      return {};
    }
    return fail(Error{ErrorCode::Unavailable,
                      "the model wrote bytes that are no UTF-8, and llama-server gives nothing of "
                      "what follows them; other engines do",
                      {},
                      "llama_cpp"});
  }
  UpstreamEnd end;
  end.status = 500;
  if (const Json* code = error.is_object() ? wire::find(error, "code") : nullptr) {
    end.status = wire::bounded<unsigned>(*code, "code", {400, 599}).value_or(500);
  }
  end.body = event.data;
  return fail(read_refusal("llama_cpp", end));
}

Result<void> LlamaReader::read_progress(const Json& progress,
                                        std::vector<GenerationEvent>& out) const {
  if (!progress.is_object()) return broken("has a progress that is no object");
  ProgressEvent event;
  event.phase = ProgressEvent::Phase::Prefill;
  MINERVA_ASSIGN(event.done, count_at(progress, "processed"));
  MINERVA_ASSIGN(event.total, count_at(progress, "total"));
  MINERVA_ASSIGN(event.cached, count_at(progress, "cache"));
  out.emplace_back(event);
  return {};
}

Result<void> LlamaReader::read_tokens(const Json& event, std::uint32_t index,
                                      std::vector<GenerationEvent>& out) {
  Choice& choice = choices_[index];
  if (choice.ended) return broken("goes on behind the end of its answer");
  TokenEvent token;
  token.choice = index;
  if (const Json* content = wire::find(event, "content")) {
    MINERVA_ASSIGN(token.bytes, wire::string(*content, "content", wire::SseParser::kEventBytesMax));
  }
  const Json* ids = wire::find(event, "tokens");
  if (ids != nullptr && ids->is_array() && !ids->empty()) {
    MINERVA_ASSIGN(token.id, id_of(ids->back()));
  }
  MINERVA_TRY(read_logprobs(event, token));
  MINERVA_ASSIGN(std::uint64_t predicted, count_at(event, "tokens_predicted"));
  if (predicted == 0) predicted = choice.predicted + 1;  // it does not count
  if (predicted <= choice.predicted || predicted - choice.predicted > kHeldBackMax) {
    return broken(fmt::format("counts {} tokens and then {}", choice.predicted, predicted));
  }
  const std::uint64_t made = predicted - choice.predicted;
  choice.predicted = predicted;
  if (choice.held) out.emplace_back(*std::exchange(choice.held, std::nullopt));
  if (made == 1 && token.bytes.empty() && tokenizer_ == nullptr) {
    choice.held = std::move(token);
  } else if (made == 1) {
    out.emplace_back(std::move(token));
  } else {
    const std::string content = token.bytes;
    give_several(index, made, content, std::move(token), out);
  }
  return {};
}

void LlamaReader::give_several(std::uint32_t index, std::uint64_t count, const std::string& content,
                               TokenEvent last, std::vector<GenerationEvent>& out) const {
  std::vector<TokenId> ids;
  if (tokenizer_ != nullptr && last.id) {
    if (auto encoded = tokenizer_->encode(content)) ids = std::move(*encoded);
  }
  const bool known = ids.size() == count && ids.back() == last.id;
  for (std::uint64_t i = 0; i + 1 < count; ++i) {
    TokenEvent token;
    token.choice = index;
    if (known) token.id = ids[i];
    out.emplace_back(std::move(token));
  }
  if (!known) last.id.reset();  // with an id, its own bytes would stand for all of the text
  out.emplace_back(std::move(last));
}

Result<void> LlamaReader::read_last(const Json& event, std::uint32_t index,
                                    std::vector<GenerationEvent>& out) {
  Choice& choice = choices_[index];
  if (choice.ended) return broken("ends the same answer twice");
  MINERVA_ASSIGN(const std::uint64_t predicted, count_at(event, "tokens_predicted"));
  // Tokens of a character that was never finished: their text is the sign for that.
  if (predicted > choice.predicted && predicted - choice.predicted <= kHeldBackMax) {
    TokenEvent unfinished;
    unfinished.choice = index;
    unfinished.bytes = kNoCharacter;
    give_several(index, predicted - choice.predicted, {}, std::move(unfinished), out);
  }
  choice.ended = true;
  ++ended_;
  MINERVA_ASSIGN(const std::uint64_t evaluated, count_at(event, "tokens_evaluated"));
  MINERVA_ASSIGN(const std::uint64_t cached, count_at(event, "timings/cache_n"));
  usage_.prompt_tokens = std::max(usage_.prompt_tokens, evaluated);
  usage_.cached_tokens = std::max(usage_.cached_tokens, cached);
  usage_.completion_tokens += predicted;
  const Json* why = wire::find(event, "stop_type");
  const bool by_itself = why != nullptr && why->is_string() && (*why == "eos" || *why == "word");
  if (choice.held && !by_itself) out.emplace_back(std::move(*choice.held));
  choice.held.reset();
  out.emplace_back(ChoiceEndEvent{index, by_itself ? FinishReason::Stop : FinishReason::Length});
  return {};
}

}  // namespace minerva::backend
