#include "http/routes.h"

#include <fmt/format.h>

#include <array>

#include "wire/http_grammar.h"

namespace minerva::http {
namespace {

constexpr std::array<Route, 15> kRoutes = {{
    {"/", false, "GET", Endpoint::Root, false},
    {"/health", false, "GET", Endpoint::Health, false},
    {"/ready", false, "GET", Endpoint::Ready, false},
    {"/metrics", false, "GET", Endpoint::Metrics, false},
    {"/version", false, "GET", Endpoint::Version, false},
    {"/v1/models/load", false, "POST", Endpoint::Load, false},
    {"/v1/models/unload", false, "POST", Endpoint::Unload, false},
    {"/v1/models", false, "GET", Endpoint::Models, false},
    {"/v1/models/", true, "GET", Endpoint::Model, false},
    {"/v1/backends", false, "GET", Endpoint::Backends, false},
    {"/v1/ps", false, "GET", Endpoint::Instances, false},
    {"/v1/route", false, "POST", Endpoint::Route, true},
    {"/v1/chat/completions", false, "POST", Endpoint::ChatCompletions, true},
    {"/v1/completions", false, "POST", Endpoint::Completions, true},
    {"/v1/embeddings", false, "POST", Endpoint::Embeddings, true},
}};

bool path_matches(const Route& route, std::string_view path) {
  if (!route.prefix) return path == route.path;
  return path.starts_with(route.path) && path.size() > route.path.size();
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

// A path may have several rows, one a method: a model may be called "load".
Match match_route(std::string_view method, std::string_view path) {
  Match match;
  for (const Route& route : kRoutes) {
    if (!path_matches(route, path)) continue;
    match.allow += route.method == "GET" ? "GET, HEAD, " : "POST, ";
    if (match.route != nullptr || match.refusal) continue;
    if (method != route.method && !(method == "HEAD" && route.method == "GET")) continue;
    if (route.prefix) {
      auto argument = wire::percent_decode(path.substr(route.path.size()));
      if (!argument) {
        match.refusal = {400,
                         "the path holds a broken percent-escape, a control character or "
                         "invalid UTF-8"};
        continue;
      }
      match.argument = std::move(*argument);
    }
    match.route = &route;
  }
  if (path == "*") match.allow = "GET, HEAD, POST, ";
  if (match.allow.empty()) {
    match.refusal = {404, fmt::format("there is no {} here; the API is under /v1", path)};
    return match;
  }
  match.allow += "OPTIONS";
  if (match.route == nullptr && !match.refusal && method != "OPTIONS")
    match.refusal = {405, fmt::format("{} takes {}, not {}", path, match.allow, method)};
  return match;
}

}  // namespace minerva::http
