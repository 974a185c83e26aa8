#include "backend/child/request_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace minerva::backend {
namespace {

// Where neither the context nor a limit is known; no engine goes on for longer unasked.
constexpr std::uint64_t kTokensMax = std::uint64_t{1} << 20;

Result<void> check_id(TokenId id, std::size_t vocabulary, std::string_view field) {
  if (id >= 0 && (vocabulary == 0 || static_cast<std::size_t>(id) < vocabulary)) return {};
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{} names token {}, which is outside the vocabulary of {} tokens", field,
                          id, vocabulary),
              std::string(field));
}

std::unexpected<Error> cannot(std::string_view what, std::string_view field) {
  return fail(ErrorCode::Unsupported, fmt::format("this engine {}", what), std::string(field));
}

}  // namespace

Result<void> check_request(const GenerateRequest& request, const Capabilities& can,
                           const WireModel& model) {
  if (request.n == 0 || request.n > can.choices_max) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("n is {}, but must be 1 to {}", request.n, can.choices_max), "n");
  }
  if (request.constraint && can.constraints == Support::No) {
    return cannot("cannot constrain its output", "response_format");
  }
  if (request.logprobs >= 0 && can.logprobs == Support::No) {
    return cannot("gives no log-probabilities", "logprobs");
  }
  if (!request.sampling.logit_bias.empty() && can.logit_bias == Support::No) {
    return cannot("takes no logit_bias", "logit_bias");
  }
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    MINERVA_TRY(check_id(id, model.vocab_size(), "logit_bias"));
  }
  for (const TokenId id : request.resume_prefix) {
    MINERVA_TRY(check_id(id, model.vocab_size(), "resume_prefix"));
  }
  if (request.prompt.empty()) {
    return fail(ErrorCode::InvalidArgument, "the prompt is empty", "prompt");
  }
  for (const PromptItem& item : request.prompt) {
    if (std::holds_alternative<EmbeddingBlock>(item) && can.images == Support::No) {
      return cannot("takes no embeddings as a prompt", "prompt");
    }
    if (std::holds_alternative<ChatPrompt>(item) &&
        (can.chat_only == Support::No || request.prompt.size() != 1)) {
      return cannot("takes prompts, not conversations", "messages");
    }
  }
  return {};
}

Result<void> resolve_prompt(const GenerateRequest& request, const WireModel& model,
                            GenerationPlan& plan) {
  const text::Tokenizer* tokenizer = model.tokenizer.get();
  bool chat = false;
  for (const PromptItem& item : request.prompt) {
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&item)) {
      for (const TokenId id : *ids) MINERVA_TRY(check_id(id, model.vocab_size(), "prompt"));
      plan.tokens.insert(plan.tokens.end(), ids->begin(), ids->end());
    } else if (const auto* text = std::get_if<std::string>(&item)) {
      if (tokenizer == nullptr) {
        plan.text += *text;
        continue;
      }
      MINERVA_ASSIGN(const auto ids, tokenizer->encode(*text, {.add_special = plan.tokens.empty(),
                                                               .parse_special = true}));
      plan.tokens.insert(plan.tokens.end(), ids.begin(), ids.end());
    } else if (std::holds_alternative<ChatPrompt>(item)) {
      chat = true;
    } else {
      return cannot("takes no embeddings as a prompt", "prompt");
    }
  }
  if (!plan.tokens.empty() && !plan.text.empty()) {
    return cannot("takes token ids or text, not both in one prompt", "prompt");
  }
  if (plan.tokens.empty() && plan.text.empty() && !chat) {
    return fail(ErrorCode::InvalidArgument, "the prompt is empty", "prompt");
  }
  if (!request.resume_prefix.empty()) {
    if (plan.tokens.empty()) return cannot("cannot go on behind tokens", "resume_prefix");
    plan.tokens.insert(plan.tokens.end(), request.resume_prefix.begin(),
                       request.resume_prefix.end());
  }
  const std::uint64_t asked = request.max_tokens.value_or(kTokensMax);
  const std::uint64_t given = request.resume_prefix.size();
  plan.max_tokens = asked > given ? asked - given : 0;
  if (model.context_size == 0) return {};
  if (plan.tokens.size() >= model.context_size) {
    return fail(ErrorCode::ContextExceeded,
                fmt::format("the prompt has {} tokens; the context holds {}, and one must be left "
                            "for the answer",
                            plan.tokens.size(), model.context_size),
                "prompt");
  }
  plan.max_tokens =
      std::min<std::uint64_t>(plan.max_tokens, model.context_size - plan.tokens.size());
  return {};
}

}  // namespace minerva::backend
