// Which engines may answer a request, and in which order they are tried: a pure function of what
// the request asks for, what the engines can do, and how they are.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "serve/types.h"

namespace minerva::serve {

// What a request needs of an engine.
struct RouteAsks {
  std::string backend = "auto";       // or an engine's name
  std::string backend_said_by;        // "the request", "the model's configuration"; for the reason
  std::vector<std::string> fallback;  // engines behind it, by name
  bool raw_prompt = false;            // no conversation: an engine that only speaks chat is none
  bool embeddings = false;            // vectors are wanted, and no text
  bool truncate = false;              // of texts as long as the engine takes, which we cut
  bool only_load = false;             // whatever the model is good for
  bool images = false;
  bool constraint = false;
  bool logprobs = false;
  bool token_ids = false;  // the prompt is ids, which the engine has to share with us
  bool logit_bias = false;
  bool seed = false;  // preferred, not required
  std::uint32_t choices = 1;
  std::size_t prompt_tokens = 0;  // of the longest input, where there are several; 0: unknown
};

struct RouteCandidate {
  std::string name;
  bool available = true;
  std::string why_not;                   // where it is not, with how to install it
  std::optional<std::string> objection;  // why it does not take the model
  backend::Capabilities can;
  std::size_t context_size = 0;  // of the loaded model; 0: unknown
  std::string unwell;            // why it is not to be asked now; empty: it is well
  std::chrono::milliseconds retry_after{};
};

struct RouteChoice {
  std::size_t candidate = 0;  // its index
  std::string reason;         // in words, for the client
};

struct RoutePlan {
  std::vector<RouteChoice> choices;  // in the order in which they are tried; never empty
  std::vector<RouteStep> steps;      // every engine that was looked at, and why not
};

// All that was looked at, whether or not a plan comes of it.
std::vector<RouteStep> route_steps(const RouteAsks& asks,
                                   std::span<const RouteCandidate> candidates);

// `candidates` in the machine's order of preference. Without a usable one the error says for each
// engine why not: Unavailable where waiting or installing would help, else Unsupported, with the
// request's field where all the reasons are the same one.
Result<RoutePlan> plan_route(const RouteAsks& asks, std::span<const RouteCandidate> candidates);

}  // namespace minerva::serve
