// Chat templates of our own for models whose files lack one, and the choice between them. Plain
// functions; thread-safe.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace minerva::chat {

struct KnownTemplate {
  std::string_view name;    // chatml, gemma, llama3, mistral, plain
  std::string_view source;  // Jinja; static storage
  std::string why;          // for the log and `show`: "its vocabulary has <|im_start|>"
};

// `has_token(piece)` says whether the model's vocabulary has that special token. A family is known
// by its turn markers, which nothing else uses; a name is believed only where there are none.
KnownTemplate pick_template(std::string_view architecture, std::string_view model_name,
                            const std::function<bool(std::string_view)>& has_token);

// The source of a known template by name, or empty.
std::string_view known_template(std::string_view name);

}  // namespace minerva::chat
