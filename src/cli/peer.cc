#include "cli/peer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cli/chat_client.h"

namespace minerva::cli {
namespace {

// Whom a person means who names no model.
Result<std::string> only_model(const Settings& settings) {
  if (!settings.models.empty()) return settings.models.front();
  std::vector<std::string> names;
  for (const models::ModelEntry& entry : open_store(settings)->list()) {
    if (entry.problem.empty()) names.push_back(entry.name);
  }
  if (names.size() == 1) return names.front();
  if (names.empty()) {
    return fail(ErrorCode::NotFound,
                fmt::format("there is no model in {}: put a .gguf file there, or give the path of "
                            "one: minerva run PATH",
                            settings.models_dir));
  }
  return fail(
      ErrorCode::InvalidArgument,
      fmt::format("which model? minerva run NAME, with one of: {}", fmt::join(names, ", ")));
}

// Flags that say how to compute are for an engine of our own: a server would not hear of them.
bool asks_for_own_engine(const Configuration& configuration) {
  constexpr std::string_view kNames[] = {"threads",  "context", "kv_memory", "isa",
                                         "numerics", "backend", "fallback",  "isolation"};
  return std::ranges::any_of(
      kNames, [&](std::string_view name) { return configuration.source(name).starts_with("--"); });
}

std::optional<Peer> running_server(const Configuration& configuration, const std::string& model) {
  if (asks_for_own_engine(configuration)) return std::nullopt;
  const std::string host = reachable_host(configuration.settings.host);
  const auto port = static_cast<unsigned>(configuration.settings.port);
  const auto names = models_of_server(host, port);
  if (!names || names->empty()) return std::nullopt;
  if (model.empty()) return Peer{host, port, names->front(), nullptr};
  if (std::ranges::count(*names, model) == 0) return std::nullopt;
  return Peer{host, port, model, nullptr};
}

}  // namespace

Result<Peer> find_peer(const Context& context, const std::string& model) {
  Configuration configuration = context.configuration;
  Settings& settings = configuration.settings;
  if (auto peer = running_server(context.configuration, model)) return std::move(*peer);
  std::string wanted = model;
  if (wanted.empty()) {
    MINERVA_ASSIGN(wanted, only_model(settings));
  }
  // Its path, so that a file beside us works as it does for the other verbs.
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(settings, wanted));
  settings.models = {entry.path};
  settings.host = "127.0.0.1";
  settings.port = 0;
  settings.allowed_origins.clear();
  Peer peer;
  MINERVA_ASSIGN(peer.own, context.start_server(configuration, context.version));
  peer.host = settings.host;
  peer.port = peer.own->port();
  peer.model = entry.name;
  return peer;
}

}  // namespace minerva::cli
