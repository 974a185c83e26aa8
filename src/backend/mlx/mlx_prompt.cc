#include "backend/mlx/mlx_prompt.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"

namespace minerva::backend {

Result<std::string> prompt_text(const text::Tokenizer& tokenizer, std::span<const TokenId> tokens) {
  std::string text = tokenizer.decode(tokens, true);
  if (utf8_valid(text) && !text.empty()) {
    MINERVA_ASSIGN(const auto back,
                   tokenizer.encode(text, {.add_special = false, .parse_special = true}));
    if (std::ranges::equal(back, tokens)) return text;
  }
  return fail(ErrorCode::Unsupported,
              fmt::format("mlx takes prompts as text only, and no text gives exactly these {} "
                          "tokens; another engine takes token ids",
                          tokens.size()),
              "prompt");
}

std::optional<ThinkMarks> think_marks(const text::Tokenizer& tokenizer) {
  // As mlx-lm 0.32 tells them, in its order.
  constexpr ThinkMarks kMarks[] = {{"<think>", "</think>"},
                                   {"<longcat_think>", "</longcat_think>"},
                                   {"<|think:start|>", "<|think:end|>"}};
  for (const ThinkMarks& marks : kMarks) {
    if (tokenizer.find(marks.begin) && tokenizer.find(marks.end)) return marks;
  }
  if (tokenizer.find("<|channel>") && tokenizer.find("<channel|>")) {
    return ThinkMarks{"<|channel>thought", "<channel|>"};
  }
  return std::nullopt;
}

bool begins_thinking(std::string_view prompt, const ThinkMarks& marks) {
  const std::size_t begin = prompt.rfind(marks.begin);
  if (begin == std::string_view::npos) return false;
  const std::size_t end = prompt.rfind(marks.end);
  return end == std::string_view::npos || end < begin;
}

}  // namespace minerva::backend
