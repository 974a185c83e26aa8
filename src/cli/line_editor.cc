#include "cli/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/utf8.h"
#include "cli/terminal.h"

namespace minerva::cli {
namespace {

constexpr int kHistoryLines = 1000;

std::wstring widened(std::string_view text) {
  std::wstring out;
  while (!text.empty()) {
    const Utf8Char c = utf8_next(text);
    out += static_cast<wchar_t>(c.code_point);
    text.remove_prefix(c.length);
  }
  return out;
}

std::string narrowed(std::wstring_view text) {
  std::string out;
  for (const wchar_t c : text) utf8_append(out, static_cast<char32_t>(c));
  return out;
}

// libedit writes characters in the locale's encoding, and a terminal of today speaks UTF-8 whatever
// the environment says.
void use_utf8() {
  if (std::setlocale(LC_CTYPE, "") != nullptr && MB_CUR_MAX > 1) return;
  std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

struct LineEditor::State {
  State(std::string history_file_in, SignalPipe& signals_in)
      : history_file(std::move(history_file_in)), signals(signals_in) {}
  ~State() {
    if (editor != nullptr) el_end(editor);
    if (history != nullptr) history_wend(history);
  }

  // The next character typed; -1 when a signal came first.
  int next_char(wchar_t* out);
  bool wait_for_byte();

  static State& of(EditLine* editor) {
    void* data = nullptr;
    el_wget(editor, EL_CLIENTDATA, &data);
    return *static_cast<State*>(data);
  }
  static int read_char(EditLine* editor, wchar_t* out) { return of(editor).next_char(out); }
  static wchar_t* show_prompt(EditLine* editor) { return of(editor).prompt.data(); }

  const std::string history_file;
  SignalPipe& signals;
  EditLine* editor = nullptr;
  HistoryW* history = nullptr;
  std::wstring prompt;
  bool interrupted = false;
};

bool LineEditor::State::wait_for_byte() {
  std::array<pollfd, 2> entries = {pollfd{kStdin, POLLIN, 0}, pollfd{signals.fd(), POLLIN, 0}};
  while (true) {
    // A person may think for as long as they like; a signal ends it.
    if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return false;
    if (signals.arrived()) {
      interrupted = true;
      return false;
    }
    if ((entries[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) return true;
  }
}

int LineEditor::State::next_char(wchar_t* out) {
  std::string bytes;
  do {
    if (!wait_for_byte()) {
      errno = EINTR;
      return -1;
    }
    char byte = 0;
    const ssize_t count = ::read(kStdin, &byte, 1);
    if (count <= 0) return static_cast<int>(count);
    bytes += byte;
  } while (utf8_incomplete_suffix(bytes) == bytes.size() && bytes.size() < 4);
  *out = static_cast<wchar_t>(utf8_next(bytes).code_point);
  return 1;
}

LineEditor::LineEditor(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineEditor::~LineEditor() = default;

Result<std::unique_ptr<LineEditor>> LineEditor::open(std::string history_file,
                                                     SignalPipe& signals) {
  use_utf8();
  auto state = std::make_unique<State>(std::move(history_file), signals);
  state->editor = el_init("minerva", stdin, stdout, stderr);
  state->history = history_winit();
  if (state->editor == nullptr || state->history == nullptr)
    return fail(ErrorCode::Io, "cannot set up line editing on this terminal");
  HistEventW event{};
  history_w(state->history, &event, H_SETSIZE, kHistoryLines);
  history_w(state->history, &event, H_SETUNIQUE, 1);
  history_w(state->history, &event, H_LOAD, state->history_file.c_str());
  el_wset(state->editor, EL_CLIENTDATA, state.get());
  el_wset(state->editor, EL_PROMPT, &State::show_prompt);
  el_wset(state->editor, EL_GETCFN, &State::read_char);
  el_wset(state->editor, EL_HIST, history_w, state->history);
  el_wset(state->editor, EL_EDITOR, L"emacs");
  el_wset(state->editor, EL_BIND, L"^R", L"em-inc-search-prev", nullptr);
  el_source(state->editor, nullptr);
  return std::unique_ptr<LineEditor>(new LineEditor(std::move(state)));
}

LineEditor::Outcome LineEditor::read(const std::string& prompt, std::string& line) {
  State& state = *state_;
  state.prompt = widened(prompt);
  state.interrupted = false;
  line.clear();
  el_resize(state.editor);
  int count = 0;
  const wchar_t* text = el_wgets(state.editor, &count);
  if (state.interrupted) {
    state.signals.clear();
    const LineInfoW* typed = el_wline(state.editor);
    line = narrowed({typed->buffer, static_cast<std::size_t>(typed->lastchar - typed->buffer)});
    return Outcome::Interrupted;
  }
  if (text == nullptr || count <= 0) return Outcome::End;
  std::wstring_view typed(text, static_cast<std::size_t>(count));
  while (typed.ends_with(L'\n') || typed.ends_with(L'\r')) typed.remove_suffix(1);
  line = narrowed(typed);
  return Outcome::Line;
}

void LineEditor::remember(const std::string& line) {
  HistEventW event{};
  history_w(state_->history, &event, H_ENTER, widened(line).c_str());
  history_w(state_->history, &event, H_SAVE, state_->history_file.c_str());
}

}  // namespace minerva::cli
