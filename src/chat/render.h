// From a conversation to the text that the model reads. The variables are those that Hugging
// Face's apply_chat_template passes, with the same names and shapes. Pure functions; thread-safe.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "chat/message.h"
#include "chat/template.h"

namespace minerva::chat {

// The special tokens that templates print, as text. What the model has not is not defined.
struct TemplateTokens {
  std::optional<std::string> bos = {};
  std::optional<std::string> eos = {};
  std::optional<std::string> unk = {};
  std::optional<std::string> pad = {};
};

// The text begins with the model's BOS where its template prints it: tokenize it with special
// tokens parsed and none added. Errors are InvalidArgument and say which part of the request.
Result<std::string> render_conversation(const ChatTemplate& chat_template,
                                        const Conversation& conversation,
                                        const TemplateTokens& tokens,
                                        std::optional<std::int64_t> now_epoch_seconds = {});

// The same variables as render_conversation would pass, for a look at them.
Result<Json> conversation_context(const TemplateTraits& traits, const Conversation& conversation,
                                  const TemplateTokens& tokens);

// A context that a person wrote (`minerva template`), completed as Hugging Face would: tools and
// documents are none where absent, add_generation_prompt false, the model's tokens where the
// context does not give them itself. Nothing in it is changed.
Json complete_context(Json context, const TemplateTokens& tokens);

}  // namespace minerva::chat
