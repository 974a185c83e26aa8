// Who may talk to us at all: the defence against pages in the user's browser that reach for
// services on the same machine (DNS rebinding, cross-site requests). Checked on every path before
// the body is read. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/http_message.h"

namespace minerva::http {

struct AccessRules {
  std::vector<std::string> hosts;    // names besides the loopback ones, in lower case, no port
  std::vector<std::string> origins;  // "https://chat.example", exactly as browsers write them
  unsigned port = 0;                 // a Host that names another port is refused
};

// Whether a Host header's value names us: localhost, 127.0.0.0/8, [::1] or a name of the rules,
// with our port or none.
bool host_allowed(std::string_view host, const AccessRules& rules);

// 403 and why, or nothing when the request may go on.
std::optional<wire::Refusal> check_access(const wire::RequestHead& head, const AccessRules& rules);

// The request's Origin where it is one of the rules' (then the answer names it to the browser).
std::optional<std::string_view> cross_origin(const wire::RequestHead& head,
                                             const AccessRules& rules);

// Whether the machine's own user asks: from this machine, by a loopback name, and not through a
// proxy that says that it asks for somebody else.
bool asks_from_here(const wire::RequestHead& head, std::string_view peer_address);

// Why a POST's headers make it unacceptable: 415 unless it is plain application/json.
std::optional<wire::Refusal> check_content(const wire::RequestHead& head);

}  // namespace minerva::http
