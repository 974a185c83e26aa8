#include "backend/mlx/mlx_reader.h"

#include <fmt/core.h>

#include "wire/http_grammar.h"

namespace minerva::backend {

// A chunk may hold both, around a mark; which came first, only the state before it tells.
std::string MlxReader::join(Words words) {
  std::string bytes;
  const bool thinking_first = thinking_;
  put_text(thinking_first, thinking_first ? words.reasoning : words.text, bytes);
  put_text(!thinking_first, thinking_first ? words.text : words.reasoning, bytes);
  return bytes;
}

void MlxReader::put_text(bool thinking, const std::string& text, std::string& bytes) {
  if (text.empty()) return;
  if (thinking != thinking_) {
    if (expected_.marks) bytes += thinking ? expected_.marks->begin : expected_.marks->end;
    thinking_ = thinking;
  }
  bytes += text;
}

Result<void> MlxReader::check_usage(const Usage& usage) const {
  if (expected_.prompt_tokens == 0 || usage.prompt_tokens == expected_.prompt_tokens) return {};
  return fail(ErrorCode::InvalidModel,
              fmt::format("mlx_lm.server makes {} tokens of a text of which Minerva makes {}: "
                          "prompts would not be what was asked for",
                          usage.prompt_tokens, expected_.prompt_tokens));
}

// "keepalive 512/1500": of the prompt's tokens, so many are computed.
void MlxReader::read_comment(std::string_view text, std::vector<GenerationEvent>& out) {
  text = wire::trim(text);
  constexpr std::string_view kWord = "keepalive ";
  if (!text.starts_with(kWord)) return;
  text.remove_prefix(kWord.size());
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return;
  const auto done = wire::parse_decimal(text.substr(0, slash));
  const auto total = wire::parse_decimal(text.substr(slash + 1));
  if (!done || !total || *done > *total) return;
  out.emplace_back(ProgressEvent{ProgressEvent::Phase::Prefill, *done, *total, 0});
}

}  // namespace minerva::backend
