#include "serve/route.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace minerva::serve {
namespace {

using backend::Support;

enum class Kind : std::uint8_t { Incapable, TooSmall, NotInstalled, Unwell };

struct Objection {
  std::string why;
  std::string_view param;
  Kind kind = Kind::Incapable;
};

std::optional<Objection> incapable(const RouteAsks& asks, const RouteCandidate& candidate) {
  const backend::Capabilities& can = candidate.can;
  if (candidate.objection) return Objection{*candidate.objection, "model"};
  if (asks.embeddings && can.embeddings == Support::No) {
    return Objection{"makes no embeddings of this model", "model"};
  }
  if (!asks.embeddings && !asks.only_load && can.generation == Support::No) {
    return Objection{"makes only embeddings of this model", "model"};
  }
  const bool takes_prompt = can.token_prompts != Support::No || can.text_prompts != Support::No;
  if (!asks.embeddings && !takes_prompt && (asks.raw_prompt || can.chat_only == Support::No)) {
    return Objection{can.chat_only == Support::No ? "takes neither token ids nor text as a prompt"
                                                  : "only speaks chat, and takes no raw prompt",
                     asks.raw_prompt ? "prompt" : "model"};
  }
  if (asks.images && can.images == Support::No) return Objection{"takes no images", "messages"};
  if (asks.constraint && can.constraints == Support::No) {
    return Objection{"cannot hold its output to a format", "response_format"};
  }
  if (asks.logprobs && can.logprobs == Support::No) {
    return Objection{"gives no log-probabilities", "logprobs"};
  }
  if (asks.token_ids && can.token_prompts == Support::No) {
    return Objection{"takes no token ids as a prompt", "prompt"};
  }
  if (asks.truncate && can.token_prompts == Support::No) {
    return Objection{"takes texts only, which are not cut off here", "truncate"};
  }
  if (asks.logit_bias && can.logit_bias == Support::No) {
    return Objection{"does not share our token ids", "logit_bias"};
  }
  if (asks.choices > can.choices_max) {
    return Objection{
        fmt::format("gives at most {} choices and {} are asked for", can.choices_max, asks.choices),
        "n"};
  }
  // What is embedded may fill the context; an answer needs room for one token.
  const std::size_t most = asks.embeddings ? candidate.context_size : candidate.context_size - 1;
  if (candidate.context_size != 0 && asks.prompt_tokens > most) {
    return Objection{
        fmt::format("has a context of {} tokens, and the {} has {}", candidate.context_size,
                    asks.embeddings ? "longest input" : "prompt", asks.prompt_tokens),
        "", Kind::TooSmall};
  }
  return std::nullopt;
}

std::optional<Objection> objection(const RouteAsks& asks, const RouteCandidate& candidate) {
  // What it could never do is said first: installing it would not help.
  if (auto no = incapable(asks, candidate)) return no;
  if (!candidate.available) {
    return Objection{fmt::format("is not available: {}", candidate.why_not), "backend",
                     Kind::NotInstalled};
  }
  if (!candidate.unwell.empty()) {
    return Objection{fmt::format("is not well: {}", candidate.unwell), "", Kind::Unwell};
  }
  return std::nullopt;
}

std::string names_of(std::span<const RouteCandidate> candidates) {
  std::string names = "auto";
  for (const RouteCandidate& candidate : candidates) names += ", " + candidate.name;
  return names;
}

// Indices of the candidates in the order in which they are looked at.
std::vector<std::size_t> order_of(const RouteAsks& asks,
                                  std::span<const RouteCandidate> candidates) {
  std::vector<std::size_t> order;
  const auto add = [&](std::string_view name) {
    const auto at = std::ranges::find(candidates, name, &RouteCandidate::name);
    if (at == candidates.end()) return;
    const auto index = static_cast<std::size_t>(at - candidates.begin());
    if (std::ranges::find(order, index) == order.end()) order.push_back(index);
  };
  if (asks.backend == "auto") {
    for (const RouteCandidate& candidate : candidates) add(candidate.name);
    if (asks.seed) {
      // Else by their order, which their index is.
      std::ranges::sort(order, {}, [&](std::size_t i) {
        return std::pair(-static_cast<int>(candidates[i].can.seed), i);
      });
    }
  } else {
    add(asks.backend);
    for (const std::string& name : asks.fallback) add(name);
  }
  return order;
}

Result<void> check_names(const RouteAsks& asks, std::span<const RouteCandidate> candidates) {
  const auto known = [&](const std::string& name) {
    return std::ranges::find(candidates, name, &RouteCandidate::name) != candidates.end();
  };
  if (asks.backend != "auto" && !known(asks.backend)) {
    return fail(
        ErrorCode::InvalidArgument,
        fmt::format("no engine is called '{}'; there are: {}", asks.backend, names_of(candidates)),
        "backend");
  }
  for (const std::string& name : asks.fallback) {
    if (known(name)) continue;
    return fail(ErrorCode::InvalidArgument,
                fmt::format("no engine is called '{}'; there are: {}", name, names_of(candidates)),
                "fallback");
  }
  return {};
}

}  // namespace

std::vector<RouteStep> route_steps(const RouteAsks& asks,
                                   std::span<const RouteCandidate> candidates) {
  std::vector<RouteStep> steps;
  for (const std::size_t index : order_of(asks, candidates)) {
    const auto no = objection(asks, candidates[index]);
    steps.push_back({candidates[index].name, !no, no ? no->why : "can do it"});
  }
  return steps;
}

Result<RoutePlan> plan_route(const RouteAsks& asks, std::span<const RouteCandidate> candidates) {
  MINERVA_TRY(check_names(asks, candidates));
  RoutePlan plan;
  plan.steps = route_steps(asks, candidates);
  std::string reasons;
  std::string_view param;
  bool same_param = true;
  bool may_come = false;
  std::size_t largest = 0;  // context of those that are too small
  bool unwell = false;
  std::chrono::milliseconds retry_after{};
  for (const std::size_t index : order_of(asks, candidates)) {
    const RouteCandidate& candidate = candidates[index];
    if (const auto no = objection(asks, candidate)) {
      reasons += fmt::format("{}{} {}", reasons.empty() ? "" : "; ", candidate.name, no->why);
      same_param = same_param && (param.empty() || param == no->param);
      param = no->param;
      may_come = may_come || no->kind == Kind::NotInstalled || no->kind == Kind::Unwell;
      if (no->kind == Kind::TooSmall) largest = std::max(largest, candidate.context_size);
      unwell = unwell || no->kind == Kind::Unwell;
      const auto wait = candidate.retry_after;
      if (no->kind == Kind::Unwell && wait.count() > 0) {
        retry_after = retry_after.count() == 0 ? wait : std::min(retry_after, wait);
      }
      continue;
    }
    std::string reason = "the first engine that can do it";
    if (!reasons.empty()) {
      reason = reasons;
    } else if (asks.backend == candidate.name) {
      reason = asks.backend_said_by.empty() ? "asked for by name"
                                            : fmt::format("asked for by {}", asks.backend_said_by);
    }
    plan.choices.push_back({index, std::move(reason)});
  }
  // With a chain of its own, auto goes on with that and nothing else.
  if (asks.backend == "auto" && !asks.fallback.empty() && !plan.choices.empty()) {
    std::vector<RouteChoice> usable = std::move(plan.choices);
    plan.choices = {usable.front()};
    for (const std::string& name : asks.fallback) {
      const auto at = std::ranges::find_if(usable, [&](const RouteChoice& choice) {
        return candidates[choice.candidate].name == name;
      });
      if (at != usable.end() && at->candidate != usable.front().candidate) {
        plan.choices.push_back(*at);
      }
    }
  }
  if (!plan.choices.empty()) return plan;
  if (candidates.empty()) {
    return fail(ErrorCode::Unavailable, "this server has no engine at all");
  }
  const ErrorCode code = may_come ? ErrorCode::Unavailable : ErrorCode::Unsupported;
  // Nothing that could be installed is known to hold more.
  if (largest != 0 && !unwell) {
    if (asks.embeddings) {
      return fail(Error{ErrorCode::ContextExceeded,
                        fmt::format("the longest input has {} tokens, and the model takes {} at "
                                    "most: shorten it, or split it into several inputs",
                                    asks.prompt_tokens, largest),
                        "input"});
    }
    return fail(ErrorCode::ContextExceeded,
                fmt::format("the prompt has {} tokens, and the context holds {} with at least one "
                            "of them for the answer: shorten the prompt, or serve the model with "
                            "a larger context",
                            asks.prompt_tokens, largest));
  }
  Error error{code, fmt::format("no engine here can do what is asked: {}", reasons),
              same_param ? std::string(param) : std::string()};
  error.retry_after = retry_after;
  return fail(std::move(error));
}

}  // namespace minerva::serve
