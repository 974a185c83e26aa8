#include "serve/choice_text.h"

#include <utility>

#include "base/utf8.h"

namespace minerva::serve {

ChoiceText::ChoiceText(std::uint32_t choice, std::vector<std::string> stops, bool keep_tokens)
    : choice_(choice), keep_tokens_(keep_tokens), stops_(std::move(stops)), matcher_(stops_) {}

std::optional<TextDelta> ChoiceText::push(backend::TokenEvent token) {
  if (stopped_) return std::nullopt;
  ++tokens_;
  std::string text = utf8_.push(token.bytes);
  if (keep_tokens_) {
    open_character_ += token.bytes;
    open_character_.erase(0, open_character_.size() - utf8_incomplete_suffix(open_character_));
    Kept kept{std::move(token), decoded_, decoded_ + text.size()};
    // A token that ends inside a character belongs to the text that will begin with it.
    if (!open_character_.empty()) ++kept.end;
    kept_.push_back(std::move(kept));
  }
  decoded_ += text.size();
  std::string sure = match(std::move(text));  // may set stopped_
  return delta(std::move(sure), /*last=*/stopped_.has_value());
}

std::optional<TextDelta> ChoiceText::finish(bool broken_tail) {
  if (stopped_) return std::nullopt;
  std::string text;
  if (broken_tail) text = match(utf8_.finish());
  if (!stopped_) text += matcher_.finish();
  return delta(std::move(text), /*last=*/true);
}

std::string ChoiceText::match(std::string text) {
  chat::StopMatcher::Piece piece = matcher_.feed(text);
  if (piece.stop) stopped_ = stops_[*piece.stop];
  return std::move(piece.text);
}

std::optional<TextDelta> ChoiceText::delta(std::string text, bool last) {
  released_ += text.size();
  TextDelta out{choice_, std::move(text), {}};
  while (!kept_.empty()) {
    const Kept& next = kept_.front();
    // At the end a token that is seen in part is given too; one of which nothing is seen is not.
    const bool seen = next.end <= released_ || (last && next.begin < released_);
    if (!seen && !(last && !stopped_)) break;
    out.tokens.push_back(std::move(kept_.front().token));
    kept_.pop_front();
  }
  if (out.text.empty() && out.tokens.empty()) return std::nullopt;
  return out;
}

}  // namespace minerva::serve
