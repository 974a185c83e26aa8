#include "api/openai/encode.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/error_table.h"
#include "api/openai/error_answer.h"
#include "api/openai/logprobs.h"
#include "wire/json_guard.h"
#include "wire/sse.h"

namespace minerva::api::openai {
namespace {

using backend::EndEvent;
using backend::FinishReason;
using backend::ProgressEvent;
using wire::Json;

enum class Shape : std::uint8_t { Chat, Completion };

std::string_view finish_name(FinishReason reason) {
  return reason == FinishReason::Length ? "length" : "stop";
}

double milliseconds(Duration duration) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(duration);
  return static_cast<double>(micros.count()) / 1000.0;
}

Json usage_object(const backend::Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

// What only Minerva says: who answered, why that engine, and how long it took.
Json minerva_object(const serve::EndDelta& delta) {
  const EndEvent& end = delta.end;
  Json ours = {{"backend", delta.backend.empty() ? end.engine : delta.backend},
               {"route", delta.route},
               {"model", delta.model},
               {"seed", end.seed},
               {"timings",
                {{"queued_ms", milliseconds(end.timings.queued)},
                 {"prefill_ms", milliseconds(end.timings.prefill)},
                 {"decode_ms", milliseconds(end.timings.decode)}}}};
  if (delta.retries.empty()) return ours;
  Json retries = Json::array();
  for (const serve::FailedAttempt& attempt : delta.retries)
    retries.push_back({{"backend", attempt.backend}, {"why", client_words(attempt.why)}});
  ours["retries"] = std::move(retries);
  return ours;
}

std::string loading_words(const ProgressEvent& event) {
  if (event.total == 0) return "loading";
  const double part = static_cast<double>(event.done) / static_cast<double>(event.total);
  return fmt::format("loading {}%", static_cast<int>(std::min(part, 1.0) * 100));
}

std::string waiting_words(const serve::WaitDelta& delta) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(delta.waited).count();
  if (delta.percent) return fmt::format("loading {} {} %", delta.model, *delta.percent);
  switch (delta.what) {
    case serve::WaitDelta::For::Load:
      return fmt::format("loading {}, {} s", delta.model, seconds);
    case serve::WaitDelta::For::Room:
      return fmt::format("waiting for room for {}, {} s", delta.model, seconds);
    case serve::WaitDelta::For::Retry:
      return fmt::format("waiting to try {} again, {} s", delta.model, seconds);
  }
  return "waiting";
}

// The error of an answer that did not come to its end.
Error failure_of(const EndEvent& end) {
  if (end.error) return *end.error;
  if (end.outcome == EndEvent::Outcome::Cancelled) {
    return {ErrorCode::Cancelled, "the generation was cancelled before its end"};
  }
  return {ErrorCode::Internal, "the generation failed and did not say why"};
}

constexpr std::string_view kOurEngine = "native";

// Both shapes, streamed and not. What is sent for each choice is decided once, here: the shapes
// differ only in the few functions that ask for `shape_`.
class Encoder final : public AnswerEncoder {
 public:
  Encoder(Shape shape, EncoderOptions options)
      : shape_(shape), options_(std::move(options)), choices_(options_.n) {
    head_ = fmt::format(R"({{"id":{},"object":"{}","created":{},"model":)",
                        wire::json_string(options_.id), object_name(), options_.created);
  }

  void planned(std::string_view backend) override { ours_ = backend == kOurEngine; }
  bool streaming() const override { return options_.stream; }
  std::string_view content_type() const override {
    return options_.stream ? "text/event-stream; charset=utf-8" : "application/json";
  }
  std::optional<Error> failure() const override { return failure_; }
  std::string keep_alive() const override { return comment("keep-alive"); }

  std::string on_delta(const serve::Delta& delta) override {
    if (ended_) return {};
    return std::visit([this](const auto& piece) { return on(piece); }, delta);
  }

  std::string finish() override {
    if (!ended_) {
      const std::string event =
          on_error({ErrorCode::Internal, "the answer stopped without saying that it ended"});
      if (options_.stream) return event;
    }
    if (failure_) return options_.stream ? std::string() : error_answer(*failure_).body;
    if (!options_.stream) return whole_body();
    std::string out;
    wire::sse_data(out, "[DONE]");
    return out;
  }

  std::string on_error(const Error& error) override {
    if (ended_) return {};
    ended_ = true;
    failure_ = error;
    std::string body = error_answer(error).body;
    if (!options_.stream) return body;
    std::string out;
    wire::sse_data(out, body);
    return out;
  }

 private:
  struct Choice {
    bool started = false;
    std::optional<FinishReason> reason;
    std::string text;  // not streaming
    Json logprobs;     // not streaming; null until the first token
    std::uint64_t text_offset = 0;
  };

  std::string_view object_name() const {
    if (shape_ == Shape::Completion) return "text_completion";
    return options_.stream ? "chat.completion.chunk" : "chat.completion";
  }

  std::string comment(std::string_view text) const {
    std::string out;
    if (options_.stream) wire::sse_comment(out, text);
    return out;
  }

  // --- one function for each kind of delta ---

  std::string on(const ProgressEvent& event) {
    switch (event.phase) {
      case ProgressEvent::Phase::Queued:
        return comment("queued");
      case ProgressEvent::Phase::Loading:
        return comment(loading_words(event));
      case ProgressEvent::Phase::Prefill:
        return comment(fmt::format("prefill {}/{}", event.done, event.total));
    }
    return {};
  }

  std::string on(const serve::WaitDelta& delta) { return comment(waiting_words(delta)); }

  std::string on(const serve::TextDelta& delta) {
    Choice* choice = open_choice(delta.choice);
    const bool tokens = options_.logprobs >= 0 && !delta.tokens.empty();
    if (choice == nullptr || (delta.text.empty() && !tokens)) return {};
    if (!options_.stream) {
      choice->text += delta.text;
      if (tokens) add_logprobs(choice->logprobs, delta.tokens, choice->text_offset);
      return {};
    }
    std::string out = start(*choice, delta.choice);
    Json logprobs;
    if (tokens) add_logprobs(logprobs, delta.tokens, choice->text_offset);
    const std::string text = wire::json_string(delta.text);
    const std::string content =
        shape_ == Shape::Chat ? fmt::format(R"({{"content":{}}})", text) : text;
    chunk(out, choice_json(delta.choice, content, wire::dump_json(logprobs), "null"));
    return out;
  }

  std::string on(const serve::FinishDelta& delta) {
    Choice* choice = open_choice(delta.choice);
    if (choice == nullptr) return {};
    choice->reason = delta.reason;
    if (!options_.stream) return {};
    // Without a usage chunk the last finish chunk carries the `minerva` object: it waits for the
    // EndDelta, which serve sends right behind it.
    if (!options_.include_usage && all_finished()) {
      held_ = delta.choice;
      return {};
    }
    std::string out = start(*choice, delta.choice);
    finish_chunk(out, delta.choice, {});
    return out;
  }

  // No vectors are part of a text.
  std::string on(const serve::EmbeddingDelta&) { return {}; }

  std::string on(const serve::EndDelta& delta) {
    // Another one may have gone on.
    if (!delta.retries.empty()) planned(delta.backend);
    if (delta.end.outcome != EndEvent::Outcome::Done) return on_error(failure_of(delta.end));
    std::string out;
    // serve says FinishDelta for each choice; a choice it forgot still ends exactly once.
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      if (!choices_[i].reason) {
        out += on(serve::FinishDelta{static_cast<std::uint32_t>(i), FinishReason::Stop, {}});
      }
    }
    ended_ = true;
    end_ = delta;
    if (!options_.stream) return out;
    const std::string ours = wire::dump_json(minerva_object(delta));
    if (options_.include_usage) {
      chunk(out, "", wire::dump_json(usage_object(delta.end.usage)), ours);
    } else if (held_) {
      out += start(choices_[*held_], *held_);
      finish_chunk(out, *held_, ours);
    }
    return out;
  }

  // --- chunks ---

  // Nothing for a choice that was not asked for or has finished.
  Choice* open_choice(std::uint32_t index) {
    if (index >= choices_.size() || choices_[index].reason) return nullptr;
    return &choices_[index];
  }

  bool all_finished() const {
    for (const Choice& choice : choices_) {
      if (!choice.reason) return false;
    }
    return true;
  }

  // The first chunk of a chat choice says its role; completions have none.
  std::string start(Choice& choice, std::uint32_t index) {
    std::string out;
    if (std::exchange(choice.started, true) || shape_ != Shape::Chat) return out;
    chunk(out, choice_json(index, R"({"role":"assistant","content":""})", "null", "null"));
    return out;
  }

  void finish_chunk(std::string& out, std::uint32_t index, std::string_view ours) {
    const auto reason = choices_[index].reason.value_or(FinishReason::Stop);
    chunk(out,
          choice_json(index, shape_ == Shape::Chat ? "{}" : R"("")", "null",
                      fmt::format(R"("{}")", finish_name(reason))),
          "null", ours);
  }

  // Every argument but the index is JSON already.
  std::string choice_json(std::uint32_t index, std::string_view content, std::string_view logprobs,
                          std::string_view reason) const {
    return fmt::format(R"({{"index":{},"{}":{},"logprobs":{},"finish_reason":{}}})", index,
                       shape_ == Shape::Chat ? "delta" : "text", content, logprobs, reason);
  }

  void chunk(std::string& out, std::string_view choice, std::string_view usage = "null",
             std::string_view ours = {}) const {
    std::string json = head(options_.model) + fmt::format(R"("choices":[{}])", choice);
    if (options_.include_usage) json.append(R"(,"usage":)").append(usage);
    if (!ours.empty()) json.append(R"(,"minerva":)").append(ours);
    json += '}';
    wire::sse_data(out, json);
  }

  std::string head(const std::string& model) const {
    const std::string_view print = ours_ ? std::string_view(options_.system_fingerprint) : "";
    return head_ + wire::json_string(model.empty() ? "default" : model) +
           R"(,"system_fingerprint":)" + (print.empty() ? "null" : wire::json_string(print)) + ",";
  }

  // --- the whole body ---

  std::string whole_body() const {
    std::string choices;
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      if (i > 0) choices += ',';
      choices += whole_choice(i);
    }
    return head(end_.model.empty() ? options_.model : end_.model) +
           fmt::format(R"("choices":[{}],"usage":{},"minerva":{}}})", choices,
                       wire::dump_json(usage_object(end_.end.usage)),
                       wire::dump_json(minerva_object(end_)));
  }

  std::string whole_choice(std::size_t index) const {
    const Choice& choice = choices_[index];
    const auto reason = finish_name(choice.reason.value_or(FinishReason::Stop));
    const std::string text = wire::json_string(choice.text);
    Json logprobs = choice.logprobs;
    if (logprobs.is_null() && options_.logprobs >= 0) logprobs = empty_logprobs();
    const std::string content =
        shape_ == Shape::Chat
            ? fmt::format(R"("message":{{"role":"assistant","content":{},"refusal":null}})", text)
            : fmt::format(R"("text":{})", text);
    return fmt::format(R"({{"index":{},{},"logprobs":{},"finish_reason":"{}"}})", index, content,
                       wire::dump_json(logprobs), reason);
  }

  Json empty_logprobs() const {
    return shape_ == Shape::Chat ? empty_chat_logprobs()
                                 : empty_completion_logprobs(options_.logprobs > 0);
  }

  void add_logprobs(Json& to, const std::vector<backend::TokenEvent>& tokens,
                    std::uint64_t& text_offset) const {
    if (to.is_null()) to = empty_logprobs();
    if (shape_ == Shape::Chat) {
      add_chat_logprobs(to, tokens);
    } else {
      add_completion_logprobs(to, tokens, text_offset);
    }
  }

  const Shape shape_;
  const EncoderOptions options_;
  std::string head_;  // {"id":…,"object":…,"created":…,"model":
  std::vector<Choice> choices_;
  std::optional<std::uint32_t> held_;  // the choice whose finish chunk waits for the EndDelta
  bool ended_ = false;
  std::optional<Error> failure_;
  serve::EndDelta end_;
  bool ours_ = true;  // our own engine answers
};

}  // namespace

std::unique_ptr<AnswerEncoder> make_chat_encoder(EncoderOptions options) {
  return std::make_unique<Encoder>(Shape::Chat, std::move(options));
}

std::unique_ptr<AnswerEncoder> make_completion_encoder(EncoderOptions options) {
  return std::make_unique<Encoder>(Shape::Completion, std::move(options));
}

}  // namespace minerva::api::openai
