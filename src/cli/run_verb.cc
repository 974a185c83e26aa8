// `run` talks HTTP to a server (peer.h): there is one way in.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "cli/chat_client.h"
#include "cli/chat_loop.h"
#include "cli/peer.h"
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
