#include "serve/route.h"

#include <fmt/core.h>

#include <string_view>

namespace minerva::serve {
namespace {

using backend::Support;

struct Objection {
  std::string why;
  std::string_view param;
};

std::optional<Objection> objection(const RouteAsks& asks, const backend::Capabilities& can) {
  if (can.token_prompts == Support::No && can.text_prompts == Support::No) {
    return Objection{"takes neither token ids nor text as a prompt", "model"};
  }
  if (asks.images && can.images == Support::No) return Objection{"takes no images", "messages"};
  if (asks.constraint && can.constraints == Support::No) {
    return Objection{"cannot hold its output to a format", "response_format"};
  }
  if (asks.logprobs && can.logprobs == Support::No) {
    return Objection{"gives no log-probabilities", "logprobs"};
  }
  if (asks.logit_bias_or_ids && can.token_prompts == Support::No) {
    return Objection{"does not share our token ids", "logit_bias"};
  }
  if (asks.choices > can.choices_max) {
    return Objection{
        fmt::format("gives at most {} choices and {} are asked for", can.choices_max, asks.choices),
        "n"};
  }
  return std::nullopt;
}

std::string names_of(std::span<const RouteCandidate> candidates) {
  std::string names = "auto";
  for (const RouteCandidate& candidate : candidates) names += ", " + candidate.name;
  return names;
}

}  // namespace

Result<RoutePlan> plan_route(const RouteAsks& asks, std::span<const RouteCandidate> candidates) {
  const bool any = !asks.backend || *asks.backend == "auto";
  std::string reasons;
  std::string_view param;
  bool same_param = true;
  for (const RouteCandidate& candidate : candidates) {
    if (!any && candidate.name != *asks.backend) continue;
    if (const auto no = objection(asks, candidate.can)) {
      reasons += fmt::format("{}{} {}", reasons.empty() ? "" : "; ", candidate.name, no->why);
      same_param = same_param && (param.empty() || param == no->param);
      param = no->param;
      continue;
    }
    std::string reason = "the default engine";
    if (!any) {
      reason = "asked for by name";
    } else if (!reasons.empty()) {
      reason = reasons;
    }
    return RoutePlan{candidate.name, std::move(reason), candidate.can.token_prompts != Support::No};
  }
  if (reasons.empty()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("no engine is called '{}'; there are: {}", asks.backend.value_or(""),
                            names_of(candidates)),
                "backend");
  }
  return fail(ErrorCode::Unsupported,
              fmt::format("no engine here can do what is asked: {}", reasons),
              same_param ? std::string(param) : std::string());
}

}  // namespace minerva::serve
