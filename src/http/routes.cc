#include "http/routes.h"

#include <fmt/format.h>

#include <array>

#include "wire/http_grammar.h"

namespace minerva::http {
namespace {

constexpr std::array<Route, 9> kRoutes = {{
    {"/", false, "GET", Endpoint::Root, false},
    {"/health", false, "GET", Endpoint::Health, false},
    {"/ready", false, "GET", Endpoint::Ready, false},
    {"/metrics", false, "GET", Endpoint::Metrics, false},
    {"/version", false, "GET", Endpoint::Version, false},
    {"/v1/models", false, "GET", Endpoint::Models, false},
    {"/v1/models/", true, "GET", Endpoint::Model, false},
    {"/v1/chat/completions", false, "POST", Endpoint::ChatCompletions, true},
    {"/v1/completions", false, "POST", Endpoint::Completions, true},
}};

bool path_matches(const Route& route, std::string_view path) {
  if (!route.prefix) return path == route.path;
  return path.starts_with(route.path) && path.size() > route.path.size();
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

Match match_route(std::string_view method, std::string_view path) {
  Match match;
  for (const Route& route : kRoutes) {
    if (!path_matches(route, path)) continue;
    match.allow = route.method == "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
    if (method == "OPTIONS") return match;
    if (method != route.method && !(method == "HEAD" && route.method == "GET")) {
      match.refusal = {405, fmt::format("{} takes {}, not {}", route.path, match.allow, method)};
      return match;
    }
    if (route.prefix) {
      auto argument = wire::percent_decode(path.substr(route.path.size()));
      if (!argument) {
        match.refusal = {400,
                         "the path holds a broken percent-escape, a control character or "
                         "invalid UTF-8"};
        return match;
      }
      match.argument = std::move(*argument);
    }
    match.route = &route;
    return match;
  }
  if (path == "*") {
    match.allow = "GET, HEAD, POST, OPTIONS";
    return match;
  }
  match.refusal = {404, fmt::format("there is no {} here; the API is under /v1", path)};
  return match;
}

}  // namespace minerva::http
