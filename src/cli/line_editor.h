// Reads lines from the terminal, with editing and history (libedit; ~/.editrc counts), in UTF-8.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "cli/signal_pipe.h"

namespace minerva::cli {

// One at a time in a process, on one thread. A history that cannot be read or written is no error.
class LineEditor {
 public:
  enum class Outcome : std::uint8_t { Line, End, Interrupted };

  // `signals` has SIGINT: it ends a line that is being typed.
  static Result<std::unique_ptr<LineEditor>> open(std::string history_file, SignalPipe& signals);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // `line` comes without its end; with Interrupted it is what was typed so far.
  Outcome read(const std::string& prompt, std::string& line);
  // Into the history, and the history into its file.
  void remember(const std::string& line);

 private:
  struct State;
  explicit LineEditor(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace minerva::cli
