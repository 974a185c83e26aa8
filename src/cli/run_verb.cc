// `run` talks HTTP to a server that is already there, or to one that it starts in this process on a
// port of its own: there is one way in.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "cli/chat_client.h"
#include "cli/chat_loop.h"
#include "cli/signal_pipe.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "models/vocabulary_cache.h"

namespace minerva::cli {
namespace {

constexpr std::size_t kPromptBytesMax = std::size_t{64} << 20;
// A prompt of many thousand tokens before the first byte of an answer; the server sends comments
// while it works.
constexpr auto kSilenceMax = std::chrono::minutes(10);

// Where the chat goes.
struct Peer {
  std::string host;
  unsigned port = 0;
  std::string model;
  std::unique_ptr<LocalServer> own;  // empty: attached to another process
};

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

// Base models chat badly, and it is not seen why.
void mention_missing_template(const Context& context, const std::string& model) {
  const auto entry = find_model(context.settings(), model);
  if (!entry) return;
  const auto vocabulary = models::load_vocabulary(entry->path);
  if (!vocabulary || !(*vocabulary)->chat_template.empty()) return;
  tell(
      fmt::format("{0} has no chat template: it may be a base model, which continues a "
                  "text rather than answers. `minerva show {0}` says what it gets.\n",
                  entry->name));
}

wire::Json request_fields(const RunOptions& options) {
  wire::Json fields = wire::Json::object();
  if (options.temperature) fields["temperature"] = *options.temperature;
  if (options.max_tokens) fields["max_tokens"] = *options.max_tokens;
  if (options.seed) fields["seed"] = *options.seed;
  return fields;
}

// The argument, and behind it what is piped in.
Result<std::string> one_prompt(const RunOptions& options) {
  std::string prompt = options.prompt;
  if (!is_terminal(kStdin)) {
    MINERVA_ASSIGN(std::string piped, read_stdin(kPromptBytesMax));
    while (piped.ends_with('\n')) piped.pop_back();
    if (!prompt.empty() && !piped.empty()) prompt += "\n\n";
    prompt += piped;
  }
  if (prompt.empty()) {
    return fail(ErrorCode::InvalidArgument,
                "the prompt is empty: give one (minerva run MODEL PROMPT) or pipe it in");
  }
  return prompt;
}

Result<void> answer_once(const ChatClient& client, const RunOptions& options,
                         const std::string& prompt) {
  wire::Json messages = wire::Json::array();
  if (!options.system.empty()) messages.push_back(chat_message("system", options.system));
  messages.push_back(chat_message("user", prompt));
  ChatAnswer answer;
  return print_answer(client, messages, request_fields(options), options.raw, answer);
}

}  // namespace

Result<void> run_chat(const Context& context, const RunOptions& options) {
  ignore_broken_pipes();
  const bool once = !options.prompt.empty() || !is_terminal(kStdin) || !is_terminal(kStdout);
  std::string prompt;
  if (once) {
    MINERVA_ASSIGN(prompt, one_prompt(options));
  }
  MINERVA_ASSIGN(const Peer peer, find_peer(context, options.model));
  http::ClientOptions client_options;
  client_options.host = peer.host;
  client_options.port = peer.port;
  client_options.read_timeout = kSilenceMax;
  if (once) {
    return answer_once(ChatClient(client_options, peer.model), options, prompt);
  }

  MINERVA_ASSIGN(const auto signals, SignalPipe::open({SIGINT}));
  client_options.cancel = &signals->arrived();
  const std::string where =
      peer.own ? peer.own->summary()
               : fmt::format("{} on the server at {}:{}", peer.model, peer.host, peer.port);
  tell(fmt::format("minerva {}: {}. /help helps.\n", context.version, escape_controls(where)));
  mention_missing_template(context, options.model.empty() ? peer.model : options.model);
  return chat_loop(ChatClient(client_options, peer.model), *signals,
                   {.history_file = context.configuration.home.history_file(),
                    .system = options.system,
                    .fields = request_fields(options),
                    .raw = options.raw});
}

}  // namespace minerva::cli
