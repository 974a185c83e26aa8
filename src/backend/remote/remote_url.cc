#include "backend/remote/remote_url.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "wire/http_grammar.h"

namespace minerva::backend {
namespace {

std::unexpected<Error> refuse(std::string_view url, std::string_view why) {
  return fail(ErrorCode::InvalidArgument, fmt::format("the address {}: {}", url, why), "urls");
}

bool is_host_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '.';
}

// "1.2.3.4" in plain decimals only: other ways to write an address are read differently by others.
std::optional<std::array<unsigned, 4>> ipv4(std::string_view host) {
  std::array<unsigned, 4> parts{};
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t dot = host.find('.');
    const std::string_view part = host.substr(0, dot);
    if ((dot == std::string_view::npos) != (i == 3)) return std::nullopt;
    if (part.empty() || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return std::nullopt;
    const auto number = wire::parse_decimal(part);
    if (!number || *number > 255) return std::nullopt;
    parts[i] = static_cast<unsigned>(*number);
    if (i < 3) host.remove_prefix(dot + 1);
  }
  return parts;
}

bool is_ipv6(std::string_view host) {
  return host.find(':') != std::string_view::npos && host.size() <= 39 &&
         std::ranges::all_of(host, [](char c) { return c == ':' || wire::hex_digit(c); });
}

bool is_path_char(char c) {
  return is_host_char(c) || (c >= 'A' && c <= 'Z') || c == '/' || c == '_' || c == '~';
}

}  // namespace

bool is_near(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  if (const auto ip = ipv4(host)) {
    const auto [a, b, c, d] = *ip;
    return a == 127 || a == 10 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168);
  }
  // fc00::/7 and fe80::/10.
  return is_ipv6(host) && host.size() > 4 && host[4] == ':' &&
         (host.starts_with("fc") || host.starts_with("fd") || host.starts_with("fe8") ||
          host.starts_with("fe9") || host.starts_with("fea") || host.starts_with("feb"));
}

Result<UpstreamAddress> parse_remote_url(std::string_view url, bool insecure) {
  UpstreamAddress address;
  std::string_view rest = url;
  const std::size_t scheme = rest.find("://");
  const std::string word = wire::to_lower(rest.substr(0, scheme));
  if (scheme == std::string_view::npos || (word != "http" && word != "https")) {
    return refuse(url, "it must begin with https:// or http://");
  }
  address.tls = word == "https";
  rest.remove_prefix(scheme + 3);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string authority = wire::to_lower(rest.substr(0, slash));
  std::string_view path = rest.substr(slash);
  if (authority.find('@') != std::string::npos) {
    return refuse("with a user name", "put the key into key_file or key_env");
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string::npos) return refuse(url, "an IPv6 address ends with ]");
    address.host = authority.substr(1, close - 1);
    port = std::string_view(authority).substr(close + 1);
    if (!is_ipv6(address.host)) return refuse(url, "what is in [] is no IPv6 address");
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    address.host = authority.substr(0, colon);
    port = std::string_view(authority).substr(colon);
    // As browsers tell an address from a name (WHATWG URL, "ends in a number").
    const std::string_view last =
        std::string_view(address.host).substr(address.host.rfind('.') + 1);
    const bool last_is_number =
        last.starts_with("0x") ||
        (!last.empty() && last.find_first_not_of("0123456789") == std::string_view::npos);
    if (address.host.empty() || !std::ranges::all_of(address.host, is_host_char)) {
      return refuse(url, "it has no host's name");
    }
    if (last_is_number && !ipv4(address.host)) {
      return refuse(url, "an IPv4 address is four plain numbers");
    }
  }
  address.port = address.tls ? 443 : 80;
  if (!port.empty()) {
    const auto number = port.starts_with(':') ? wire::parse_decimal(port.substr(1)) : std::nullopt;
    if (!number || *number == 0 || *number > 65535) return refuse(url, "the port is 1 to 65535");
    address.port = static_cast<std::uint16_t>(*number);
  }
  while (path.ends_with('/')) path.remove_suffix(1);
  if (!std::ranges::all_of(path, is_path_char) || path.find("..") != std::string_view::npos ||
      path.find("//") != std::string_view::npos) {
    return refuse(url, "its path may hold letters, digits and -._~/ only");
  }
  address.base_path = path.empty() ? "/v1" : std::string(path);
  if (!address.tls && !insecure && !is_near(address.host)) {
    return refuse(url,
                  "the key and all texts would be readable on their way; use https, or set "
                  "insecure = true");
  }
  return address;
}

}  // namespace minerva::backend
