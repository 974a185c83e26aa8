#include "http/port_owner.h"

#include <string_view>

#include "http/client.h"
#include "http/reply.h"

namespace minerva::http {
namespace {

// For each of the two questions: a busy machine's server takes its time, too.
constexpr auto kTimeMax = std::chrono::seconds(1);

std::string body_of(const ClientOptions& options, std::string_view path) {
  auto response = Client(options).get(path);
  return response && response->head.status == 200 ? response->body : std::string();
}

// The string behind "version": in a flat object; made safe for a terminal.
std::string version_in(std::string_view json) {
  constexpr std::string_view kKey = R"("version":")";
  const std::size_t at = json.find(kKey);
  if (at == std::string_view::npos) return {};
  json.remove_prefix(at + kKey.size());
  return " " + safe_header_value(json.substr(0, std::min<std::size_t>(json.find('"'), 40)));
}

}  // namespace

std::string port_owner(const std::string& host, unsigned port) {
  ClientOptions options;
  options.host = host == "0.0.0.0" ? "127.0.0.1" : host == "::" ? "::1" : host;
  options.port = port;
  options.connect_timeout = kTimeMax;
  options.read_timeout = kTimeMax;
  options.body_bytes_max = 4096;
  const std::string root = body_of(options, "/");
  if (root.starts_with("Ollama is running"))
    return "Ollama" + version_in(body_of(options, "/api/version"));
  if (root.starts_with("Minerva is running"))
    return "another Minerva" + version_in(body_of(options, "/version"));
  return "another program";
}

}  // namespace minerva::http
