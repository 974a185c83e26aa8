#include "conformance/recorder.h"

#include <gtest/gtest.h>

#include <chrono>

namespace minerva::backend {

std::vector<TokenId> Recording::ids(std::uint32_t choice) const {
  std::vector<TokenId> out;
  const auto at = tokens.find(choice);
  if (at == tokens.end()) return out;
  if (!has_ids()) {
    for (const char c : bytes(choice)) out.push_back(static_cast<unsigned char>(c));
    return out;
  }
  for (const TokenEvent& token : at->second) out.push_back(token.id.value_or(-1));
  return out;
}

bool Recording::has_ids() const {
  for (const auto& [choice, list] : tokens) {
    for (const TokenEvent& token : list) {
      if (!token.id) return false;
    }
  }
  return true;
}

std::string Recording::bytes(std::uint32_t choice) const {
  std::string out;
  const auto at = tokens.find(choice);
  if (at == tokens.end()) return out;
  for (const TokenEvent& token : at->second) out += token.bytes;
  return out;
}

std::size_t Recording::token_count() const {
  if (!has_ids() && end) return end->usage.completion_tokens;
  std::size_t count = 0;
  for (const auto& [choice, list] : tokens) count += list.size();
  return count;
}

Recording record(GenerationStream& stream) {
  Recording recording;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!recording.end && std::chrono::steady_clock::now() < give_up) {
    auto event = stream.pop_for(std::chrono::seconds(1));
    if (!event) continue;
    if (auto* token = std::get_if<TokenEvent>(&*event)) {
      EXPECT_FALSE(recording.reasons.contains(token->choice)) << "a token behind a choice's end";
      recording.tokens[token->choice].push_back(std::move(*token));
    } else if (const auto* choice = std::get_if<ChoiceEndEvent>(&*event)) {
      EXPECT_TRUE(recording.reasons.emplace(choice->choice, choice->reason).second)
          << "choice " << choice->choice << " ended twice";
    } else if (auto* vector = std::get_if<EmbeddingEvent>(&*event)) {
      EXPECT_TRUE(recording.vectors.emplace(vector->input, std::move(vector->values)).second)
          << "a second vector of input " << vector->input;
    } else if (auto* end = std::get_if<EndEvent>(&*event)) {
      recording.end = std::move(*end);
    }
  }
  EXPECT_TRUE(recording.end.has_value()) << "no end within a minute";
  EXPECT_FALSE(stream.try_pop().has_value()) << "an event behind the end";
  return recording;
}

Recording run(InferenceBackend& engine, GenerateRequest request) {
  const auto stream = std::make_shared<GenerationStream>();
  const auto accepted = engine.generate(std::move(request), stream);
  EXPECT_TRUE(accepted) << accepted.error().message;
  return accepted ? record(*stream) : Recording{};
}

}  // namespace minerva::backend
