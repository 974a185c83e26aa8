// Which requests there are. One table, walked by the tests, so that no route is forgotten by a
// check. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "wire/http_message.h"

namespace minerva::http {

enum class Endpoint : std::uint8_t {
  Root,
  Health,
  Ready,
  Metrics,
  Version,
  Models,
  Model,
  Backends,
  Instances,
  Route,
  Load,
  Unload,
  ChatCompletions,
  Completions,
  Embeddings,
};

struct Route {
  std::string_view path;
  bool prefix;  // the rest of the path is the argument
  std::string_view method;
  Endpoint endpoint;
  bool prompts;  // the body may be as large as a prompt's limit
};

std::span<const Route> routes();

struct Match {
  const Route* route = nullptr;          // none: refusal says why, or OPTIONS asks for allow only
  std::string argument;                  // decoded
  std::string allow;                     // methods of this path; empty when there is no such path
  std::optional<wire::Refusal> refusal;  // 400, 404 or 405
};

// HEAD matches where GET does.
Match match_route(std::string_view method, std::string_view path);

}  // namespace minerva::http
