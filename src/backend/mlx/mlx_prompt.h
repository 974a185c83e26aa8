// Prompts for mlx_lm.server, which takes text and tokenizes it itself; and the marks of a model's
// thinking, which it cuts out of its answers. Pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/token.h"
#include "text/tokenizer.h"

namespace minerva::backend {

// The text that its tokenizer turns into exactly these tokens. Unsupported where there is none
// (tokens cut in the middle of what would be merged), so that a prompt is never another one.
Result<std::string> prompt_text(const text::Tokenizer& tokenizer, std::span<const TokenId> tokens);

// mlx_lm takes what is between these out of an answer's content and gives it as "reasoning". It
// looks at the vocabulary alone, not at what the client asked for.
struct ThinkMarks {
  std::string_view begin;
  std::string_view end;
};
std::optional<ThinkMarks> think_marks(const text::Tokenizer& tokenizer);

// Whether an answer to this prompt begins inside the model's thinking.
bool begins_thinking(std::string_view prompt, const ThinkMarks& marks);

}  // namespace minerva::backend
