#include "serve/request_checks.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

namespace minerva::serve {
namespace {

Result<void> check_count(std::string_view field, std::uint64_t value, std::uint64_t least,
                         std::uint64_t most) {
  if (value >= least && value <= most) return {};
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{} is {}, but must be {} to {}", field, value, least, most),
              std::string(field));
}

Result<void> check_number(std::string_view field, float value, float least, float most) {
  // Written so that NaN fails.
  if (value >= least && value <= most) return {};
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{} is {}, but must be {} to {}", field, value, least, most),
              std::string(field));
}

Result<void> check_sampling(const backend::SamplingParams& sampling) {
  constexpr float kLarge = 1e6F;
  MINERVA_TRY(check_number("temperature", sampling.temperature, 0.0F, 100.0F));
  MINERVA_TRY(check_number("top_p", sampling.top_p, 0.0F, 1.0F));
  MINERVA_TRY(check_number("min_p", sampling.min_p, 0.0F, 1.0F));
  MINERVA_TRY(check_number("typical_p", sampling.typical_p, 0.0F, 1.0F));
  MINERVA_TRY(check_number("repetition_penalty", sampling.repetition_penalty, 1e-6F, kLarge));
  MINERVA_TRY(check_number("presence_penalty", sampling.presence_penalty, -kLarge, kLarge));
  MINERVA_TRY(check_number("frequency_penalty", sampling.frequency_penalty, -kLarge, kLarge));
  MINERVA_TRY(check_count("logit_bias", sampling.logit_bias.size(), 0, kLogitBiasMax));
  for (const auto& [id, bias] : sampling.logit_bias) {
    MINERVA_TRY(check_number("logit_bias", bias, -kLarge, kLarge));
  }
  return {};
}

Result<void> check_stops(const std::vector<std::string>& stops) {
  MINERVA_TRY(check_count("stop", stops.size(), 0, kStopStringsMax));
  for (const std::string& stop : stops) {
    if (stop.size() >= 1 && stop.size() <= kStopStringBytesMax) continue;
    return fail(ErrorCode::InvalidArgument,
                fmt::format("a stop string has {} bytes, but must have 1 to {}", stop.size(),
                            kStopStringBytesMax),
                "stop");
  }
  return {};
}

Result<void> check_id(std::string_view field, TokenId id, std::size_t vocab_size) {
  if (id >= 0 && static_cast<std::size_t>(id) < vocab_size) return {};
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{} names token {}, but the model has {} tokens (0 to {})", field, id,
                          vocab_size, vocab_size - 1),
              std::string(field));
}

}  // namespace

Result<void> check_request(const Request& request) {
  MINERVA_TRY(check_count("n", request.n, 1, kChoicesMax));
  if (request.max_tokens) {
    MINERVA_TRY(check_count("max_tokens", *request.max_tokens, 1, 1ULL << 40));
  }
  if (request.logprobs < -1 || request.logprobs > kLogprobsMax) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("log-probabilities of {} tokens are asked for, and {} is the most",
                            request.logprobs, kLogprobsMax),
                "logprobs");
  }
  MINERVA_TRY(check_sampling(request.sampling));
  MINERVA_TRY(check_stops(request.stop));
  if (request.timeout && *request.timeout <= Duration::zero()) {
    return fail(ErrorCode::InvalidArgument, "timeout must be more than 0", "timeout");
  }
  if (const auto* conversation = std::get_if<chat::Conversation>(&request.prompt)) {
    if (request.echo) {
      return fail(ErrorCode::InvalidArgument, "echo is for raw prompts only", "echo");
    }
    if (conversation->messages.empty()) {
      return fail(ErrorCode::InvalidArgument, "messages is empty", "messages");
    }
    return {};
  }
  // The prompt's own log-probabilities would be part of the answer, and no engine gives them yet.
  if (request.echo && request.logprobs >= 0) {
    return fail(ErrorCode::Unsupported, "echo cannot be combined with logprobs", "echo");
  }
  return {};
}

Result<void> check_embedding_request(const EmbeddingRequest& request) {
  if (request.inputs.empty()) {
    return fail(ErrorCode::InvalidArgument, "input is empty: there is nothing to embed", "input");
  }
  if (request.inputs.size() > kEmbeddingInputsMax) {
    return fail(
        ErrorCode::InvalidArgument,
        fmt::format("input has {} texts, and {} are the most: send them in several requests",
                    request.inputs.size(), kEmbeddingInputsMax),
        "input");
  }
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const bool empty = std::visit([](const auto& one) { return one.empty(); }, request.inputs[i]);
    if (!empty) continue;
    return fail(ErrorCode::InvalidArgument,
                fmt::format("input {} of {} (counted from 0) is empty", i, request.inputs.size()),
                "input");
  }
  if (request.dimensions) {
    MINERVA_TRY(check_count("dimensions", *request.dimensions, 1, 1ULL << 20));
  }
  if (request.timeout && *request.timeout <= Duration::zero()) {
    return fail(ErrorCode::InvalidArgument, "timeout must be more than 0", "timeout");
  }
  return {};
}

Result<void> check_embedding_tokens(const std::vector<TokenId>& tokens, std::size_t index,
                                    std::size_t vocab_size) {
  if (tokens.empty()) {
    return fail(ErrorCode::InvalidArgument, fmt::format("input {} has no tokens", index), "input");
  }
  for (const TokenId id : tokens) MINERVA_TRY(check_id("input", id, vocab_size));
  return {};
}

Result<void> check_token_ids(const Request& request, std::size_t vocab_size) {
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    MINERVA_TRY(check_id("logit_bias", id, vocab_size));
  }
  const auto* raw = std::get_if<RawPrompt>(&request.prompt);
  const auto* ids = raw == nullptr ? nullptr : std::get_if<std::vector<TokenId>>(raw);
  if (ids == nullptr) return {};
  for (const TokenId id : *ids) MINERVA_TRY(check_id("prompt", id, vocab_size));
  return {};
}

bool has_images(const Request& request) {
  const auto* conversation = std::get_if<chat::Conversation>(&request.prompt);
  if (conversation == nullptr) return false;
  const auto is_image = [](const chat::ContentPart& part) {
    return part.kind == chat::ContentPart::Kind::Image;
  };
  return std::ranges::any_of(conversation->messages, [&](const chat::Message& message) {
    return message.content && std::ranges::any_of(*message.content, is_image);
  });
}

}  // namespace minerva::serve
