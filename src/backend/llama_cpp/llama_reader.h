// What llama-server streams, as our events. It holds tokens back until they make whole characters,
// and then names the last one's id only, while `tokens_predicted` counts them all: an event may
// stand for several tokens. Their ids are found by tokenizing the event's text where that gives as
// many tokens with the same last one; else the text comes without ids.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/child/engine_wire.h"
#include "wire/json_guard.h"

namespace minerva::backend {

class LlamaReader final : public ChunkReader {
 public:
  // `max_tokens`: how many each choice may have.
  LlamaReader(std::uint32_t choices, std::shared_ptr<const text::Tokenizer> tokenizer,
              std::uint64_t max_tokens);

  Result<void> read(const wire::SseEvent& event, std::vector<GenerationEvent>& out) override;
  bool finished() const override { return ended_ == choices_.size(); }
  Usage usage() const override { return usage_; }

 private:
  struct Choice {
    std::uint64_t predicted = 0;
    bool ended = false;
    // Without text: the end's own token looks so, and is not given.
    std::optional<TokenEvent> held;
  };
  Result<void> read_progress(const wire::Json& progress, std::vector<GenerationEvent>& out) const;
  Result<void> read_tokens(const wire::Json& event, std::uint32_t index,
                           std::vector<GenerationEvent>& out);
  Result<void> read_error(const wire::SseEvent& event, const wire::Json& error,
                          std::vector<GenerationEvent>& out);
  Result<void> read_last(const wire::Json& event, std::uint32_t index,
                         std::vector<GenerationEvent>& out);
  // `count` tokens whose text is `content`, the last one being `last`.
  void give_several(std::uint32_t index, std::uint64_t count, const std::string& content,
                    TokenEvent last, std::vector<GenerationEvent>& out) const;

  const std::shared_ptr<const text::Tokenizer> tokenizer_;
  const std::uint64_t max_tokens_;
  std::vector<Choice> choices_;
  std::size_t ended_ = 0;
  Usage usage_;
};

}  // namespace minerva::backend
