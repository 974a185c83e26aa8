#include "cli/chat_loop.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "base/utf8.h"
#include "cli/chat_command.h"
#include "cli/input_block.h"
#include "cli/line_editor.h"
#include "cli/terminal.h"
#include "cli/terminal_filter.h"

namespace minerva::cli {
namespace {

constexpr const char* kPrompt = ">>> ";
constexpr const char* kMorePrompt = "... ";

void say(std::string_view text) { tell(fmt::format("{}\n", text)); }

class Chat {
 public:
  Chat(const ChatClient& client, SignalPipe& signals, ChatLoopOptions options)
      : client_(client), signals_(signals), options_(std::move(options)) {}

  Result<void> run() {
    MINERVA_ASSIGN(const auto editor, LineEditor::open(options_.history_file, signals_));
    std::string line;
    InputBlock block;
    while (true) {
      const auto outcome = editor->read(block.open() ? kMorePrompt : kPrompt, line);
      if (outcome == LineEditor::Outcome::End) return write_out("\n");
      if (outcome == LineEditor::Outcome::Interrupted) {
        MINERVA_TRY(write_out("\n"));
        if (line.empty() && !block.open()) say("Ctrl-D or /bye ends the chat.");
        block.clear();
        continue;
      }
      if (!line.empty()) editor->remember(line);
      if (!block.open() && line.starts_with('/')) {
        if (!obey(line)) return {};
        continue;
      }
      const auto message = block.push(line);
      if (message && message->find_first_not_of(" \t\n") != std::string::npos) answer(*message);
    }
  }

 private:
  // False ends the chat.
  bool obey(const std::string& line) {
    const auto command = parse_chat_command(line);
    if (!command) {
      say(escape_controls(command.error().message));
      return true;
    }
    switch (command->kind) {
      case ChatCommand::Kind::Bye:
        return false;
      case ChatCommand::Kind::Help:
        tell(chat_help());
        break;
      case ChatCommand::Kind::Clear:
        turns_ = wire::Json::array();
        say("The conversation is forgotten.");
        break;
      case ChatCommand::Kind::System:
        options_.system = command->argument;
        say(options_.system.empty() ? "There is no system message now."
                                    : "The next answers have this system message.");
        break;
      case ChatCommand::Kind::Set:
        set(*command);
        break;
    }
    return true;
  }

  void set(const ChatCommand& command) {
    if (!command.name.empty()) {
      if (const auto done = set_chat_field(options_.fields, command.name, command.argument); !done)
        say(escape_controls(done.error().message));
    }
    if (options_.fields.empty()) say("Nothing is set: the model's defaults count.");
    for (const auto& [name, value] : options_.fields.items())
      say(fmt::format("{} {}", name, value.dump()));
  }

  // An answer that fails is said and forgotten.
  void answer(const std::string& text) {
    wire::Json messages = wire::Json::array();
    if (!options_.system.empty()) messages.push_back(chat_message("system", options_.system));
    for (const wire::Json& turn : turns_) messages.push_back(turn);
    messages.push_back(chat_message("user", text));

    ChatAnswer answer;
    signals_.clear();
    const auto done = print_answer(client_, messages, options_.fields, options_.raw, answer);
    signals_.clear();
    const bool stopped = !done && done.error().code == ErrorCode::Cancelled;
    if (!done && !stopped) {
      say(fmt::format("The answer failed: {}", escape_controls(done.error().message, true)));
      return;
    }
    if (stopped) say("(stopped)");
    if (answer.finish_reason == "length") say("(cut off: its length or the context is full)");
    turns_.push_back(messages.back());
    turns_.push_back(chat_message("assistant", answer.text));
  }

  const ChatClient& client_;
  SignalPipe& signals_;
  ChatLoopOptions options_;
  wire::Json turns_ = wire::Json::array();
};

}  // namespace

wire::Json chat_message(std::string_view role, std::string_view text) {
  // Terminals and pipes may hold anything; the API takes UTF-8.
  return {{"role", role}, {"content", utf8_replace_invalid(text)}};
}

Result<void> print_answer(const ChatClient& client, const wire::Json& messages,
                          const wire::Json& fields, bool raw, ChatAnswer& answer) {
  TerminalFilter filter;
  bool ends_line = false;
  const auto on_text = [&](std::string_view text) -> Result<void> {
    const std::string shown = raw ? std::string(text) : filter.push(text);
    if (!shown.empty()) ends_line = shown.ends_with('\n');
    return write_out(shown);
  };
  const auto done = client.ask(messages, fields, answer, on_text);
  const auto written = ends_line ? Result<void>() : write_out("\n");
  return done ? written : done;
}

Result<void> chat_loop(const ChatClient& client, SignalPipe& signals, ChatLoopOptions options) {
  return Chat(client, signals, std::move(options)).run();
}

}  // namespace minerva::cli
