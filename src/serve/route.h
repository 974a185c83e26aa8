// Which engine answers a request: a pure function of what the request asks for and what the engines
// can do. What runs where, what is to be unloaded and what happens after a failure join it here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"

namespace minerva::serve {

// What a request needs of an engine.
struct RouteAsks {
  std::optional<std::string> backend;  // the engine's name; none or "auto": any
  bool images = false;
  bool constraint = false;
  bool logprobs = false;
  bool logit_bias_or_ids = false;  // only means something where the engine takes our token ids
  std::uint32_t choices = 1;
};

struct RouteCandidate {
  std::string name;
  backend::Capabilities can;
};

struct RoutePlan {
  std::string backend;
  std::string reason;        // in words, for the client
  bool token_prompt = true;  // false: the engine tokenizes the text itself
};

// `candidates` in the order in which they are tried. Unsupported says for each engine why not, and
// names the request's field where all the reasons are the same one.
Result<RoutePlan> plan_route(const RouteAsks& asks, std::span<const RouteCandidate> candidates);

}  // namespace minerva::serve
