#include "backend/native/native_sink.h"

#include <string>
#include <utility>

namespace minerva::backend {

NativeSink::NativeSink(std::shared_ptr<GenerationStream> stream,
                       std::shared_ptr<const text::Tokenizer> tokenizer, std::uint64_t seed)
    : stream_(std::move(stream)), tokenizer_(std::move(tokenizer)), seed_(seed) {}

void NativeSink::prefill(std::size_t done, std::size_t total) {
  stream_->push(ProgressEvent{ProgressEvent::Phase::Prefill, done, total, 0});
}

void NativeSink::token(std::uint32_t choice, TokenId id, const engine::Logprobs* logprobs) {
  TokenEvent event;
  event.choice = choice;
  event.id = id;
  // Control tokens are part of the protocol, not of the text.
  if (tokenizer_->kind(id) != text::TokenKind::Control) event.bytes = tokenizer_->token_bytes(id);
  if (logprobs != nullptr) {
    event.logprob = logprobs->chosen;
    for (const engine::LikelyToken& likely : logprobs->top) {
      event.top.push_back(
          {likely.id, std::string(tokenizer_->token_bytes(likely.id)), likely.logprob});
    }
  }
  stream_->push(std::move(event));
}

void NativeSink::choice_end(std::uint32_t choice, engine::StopReason reason) {
  stream_->push(ChoiceEndEvent{
      choice, reason == engine::StopReason::Length ? FinishReason::Length : FinishReason::Stop});
}

void NativeSink::finished(const engine::BatchUsage& usage) {
  end(EndEvent::Outcome::Done, std::nullopt, usage);
}

void NativeSink::failed(Error error, const engine::BatchUsage& usage) {
  error.origin = "native";
  end(EndEvent::Outcome::Failed, std::move(error), usage);
}

void NativeSink::cancelled_end(const engine::BatchUsage& usage) {
  end(EndEvent::Outcome::Cancelled, std::nullopt, usage);
}

void NativeSink::end(EndEvent::Outcome outcome, std::optional<Error> error,
                     const engine::BatchUsage& usage) {
  stream_->push(EndEvent{outcome,
                         std::move(error),
                         {usage.prompt_tokens, 0, usage.generated_tokens},
                         {usage.queued, usage.prefill, usage.decode},
                         "native",
                         seed_});
}

}  // namespace minerva::backend
