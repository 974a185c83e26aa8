#include "serve/model_text.h"

#include <fmt/core.h>

#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "chat/known_templates.h"
#include "chat/render.h"

namespace minerva::serve {

Result<std::shared_ptr<const ModelText>> ModelText::make(
    std::shared_ptr<const models::LoadedVocabulary> vocabulary,
    std::optional<std::string> chat_template) {
  std::shared_ptr<ModelText> out(new ModelText);
  std::string source = vocabulary->chat_template;
  out->template_note_ = "the model's own";
  if (chat_template) {
    source = std::move(*chat_template);
    out->template_note_ = "the configured one";
  } else if (source.empty()) {
    auto known = chat::pick_template(
        vocabulary->architecture, vocabulary->model_name, [&](std::string_view piece) {
          const auto id = vocabulary->tokenizer->find(piece);
          return id && vocabulary->tokenizer->kind(*id) != text::TokenKind::Normal;
        });
    source = known.source;
    out->template_note_ = fmt::format("none in the file, so {}: {}", known.name, known.why);
  }
  out->template_ = chat::ChatTemplate::compile(std::move(source));
  if (!out->template_)
    out->template_note_ += ", which is broken: " + out->template_.error().message;
  out->vocabulary_ = std::move(vocabulary);
  return out;
}

Result<PreparedPrompt> ModelText::prepare(const Request& request) const {
  PreparedPrompt prompt;
  if (const auto* conversation = std::get_if<chat::Conversation>(&request.prompt)) {
    if (!template_) return fail(Error(template_.error()).in("the model's chat template"));
    MINERVA_ASSIGN(prompt.text,
                   chat::render_conversation(**template_, *conversation,
                                             {vocabulary_->bos_text, vocabulary_->eos_text,
                                              vocabulary_->unk_text, vocabulary_->pad_text}));
  } else {
    const RawPrompt& raw = std::get<RawPrompt>(request.prompt);
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&raw)) {
      prompt.tokens = *ids;
      prompt.text = tokenizer().decode(*ids, /*special=*/true);
      if (request.echo) prompt.echo = utf8_replace_invalid(prompt.text);
      return prompt;
    }
    prompt.text = std::get<std::string>(raw);
    if (request.echo) prompt.echo = prompt.text;
  }
  MINERVA_ASSIGN(prompt.tokens,
                 tokenizer().encode(prompt.text, {.add_special = true, .parse_special = true}));
  return prompt;
}

}  // namespace minerva::serve
