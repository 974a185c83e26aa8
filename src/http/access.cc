#include "http/access.h"

#include <fmt/format.h>

#include <algorithm>

#include "wire/http_grammar.h"

namespace minerva::http {
namespace {

// "127.1.2.3" in plain decimal: no octal, no short forms, which resolvers read in different ways.
bool is_loopback_v4(std::string_view host) {
  unsigned parts = 0;
  bool first_is_127 = false;
  while (true) {
    const std::size_t dot = host.find('.');
    const std::string_view part = host.substr(0, dot);
    const auto value = part.size() <= 3 ? wire::parse_decimal(part) : std::nullopt;
    if (!value || *value > 255 || (part.size() > 1 && part.front() == '0')) return false;
    if (parts == 0) first_is_127 = *value == 127;
    ++parts;
    if (dot == std::string_view::npos) break;
    host.remove_prefix(dot + 1);
  }
  return parts == 4 && first_is_127;
}

wire::Refusal forbidden(std::string message) { return {403, std::move(message)}; }

}  // namespace

namespace {

// The name in a Host header's value, in lower case.
std::string host_name(std::string_view host) {
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  const bool port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  return wire::to_lower(port ? host.substr(0, colon) : host);
}

bool is_loopback_name(std::string_view name) {
  return name == "localhost" || name == "[::1]" || is_loopback_v4(name);
}

}  // namespace

bool asks_from_here(const wire::RequestHead& head, std::string_view peer_address) {
  constexpr std::string_view kMapped = "::ffff:";
  if (peer_address.starts_with(kMapped)) peer_address.remove_prefix(kMapped.size());
  if (peer_address != "::1" && !is_loopback_v4(peer_address)) return false;
  for (const char* field : {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"})
    if (head.find(field)) return false;
  return is_loopback_name(host_name(head.find("host").value_or("")));
}

bool host_allowed(std::string_view host, const AccessRules& rules) {
  std::string_view name = host;
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    const auto port = wire::parse_decimal(host.substr(colon + 1));
    if (!port || *port != rules.port) return false;
    name = host.substr(0, colon);
  }
  const std::string lower = wire::to_lower(name);
  if (is_loopback_name(lower)) return true;
  return !lower.empty() &&
         std::find(rules.hosts.begin(), rules.hosts.end(), lower) != rules.hosts.end();
}

std::optional<std::string_view> cross_origin(const wire::RequestHead& head,
                                             const AccessRules& rules) {
  const auto origin = head.find("origin");
  if (!origin) return std::nullopt;
  const auto found = std::find(rules.origins.begin(), rules.origins.end(), *origin);
  if (found == rules.origins.end()) return std::nullopt;
  return *origin;
}

std::optional<wire::Refusal> check_access(const wire::RequestHead& head, const AccessRules& rules) {
  const std::string_view host = head.find("host").value_or("");
  if (!host_allowed(host, rules)) {
    return forbidden(fmt::format(
        "the Host \"{}\" is not one of this server's names; add it to the allowed hosts", host));
  }
  if (cross_origin(head, rules)) {
    if (head.find("access-control-request-private-network"))
      return forbidden("access from public pages into a private network is refused");
    return std::nullopt;
  }
  const auto origin = head.find("origin");
  if (origin && !wire::equals_ignoring_case(*origin, fmt::format("http://{}", host))) {
    return forbidden(fmt::format(
        "pages of \"{}\" may not use this server; add it to the allowed origins", *origin));
  }
  const auto site = head.find("sec-fetch-site");
  if (site && *site != "same-origin" && *site != "none")
    return forbidden("pages of other sites may not use this server");
  return std::nullopt;
}

std::optional<wire::Refusal> check_content(const wire::RequestHead& head) {
  const auto encoding = head.find("content-encoding");
  if (encoding && !wire::equals_ignoring_case(*encoding, "identity"))
    return wire::Refusal{415, "compressed bodies are refused; send it without Content-Encoding"};
  if (head.method != "POST") return std::nullopt;
  const std::string_view type = head.find("content-type").value_or("");
  if (!wire::equals_ignoring_case(wire::trim(type.substr(0, type.find(';'))), "application/json"))
    return wire::Refusal{415, "the body's Content-Type must be application/json"};
  return std::nullopt;
}

}  // namespace minerva::http
