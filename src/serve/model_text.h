// A model's own way with text: its vocabulary and its chat template, compiled once. Needs no
// engine.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/template.h"
#include "models/vocabulary_cache.h"
#include "serve/types.h"

namespace minerva::serve {

struct PreparedPrompt {
  std::string text;  // for engines that tokenize themselves
  std::vector<TokenId> tokens;
  std::string echo;  // the prompt as the client may want it back; empty without echo
};

// Immutable; any thread.
class ModelText {
 public:
  // A template that does not compile is no error here: completions need none.
  // `chat_template`: in place of the model's own.
  static Result<std::shared_ptr<const ModelText>> make(
      std::shared_ptr<const models::LoadedVocabulary> vocabulary,
      std::optional<std::string> chat_template = std::nullopt);

  // Renders a conversation, or takes the raw prompt, and tokenizes. Control tokens that are written
  // in the text are recognised in both: in completions too, because that is how other engines let
  // clients send prompts that they have rendered themselves. BOS is added where the model asks for
  // it and the text does not begin with it.
  Result<PreparedPrompt> prepare(const Request& request) const;

  const text::Tokenizer& tokenizer() const { return *vocabulary_->tokenizer; }
  // Compiled, or why it could not be.
  const Result<std::shared_ptr<const chat::ChatTemplate>>& chat_template() const {
    return template_;
  }
  // Which template it is, for the log and `show`.
  const std::string& template_note() const { return template_note_; }

 private:
  ModelText() = default;

  std::shared_ptr<const models::LoadedVocabulary> vocabulary_;
  Result<std::shared_ptr<const chat::ChatTemplate>> template_;
  std::string template_note_;
};

}  // namespace minerva::serve
