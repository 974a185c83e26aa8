// A stream of OpenAI's chat or completion chunks, as events. Servers differ: text and the reason of
// the end may share a chunk, roles come with or without text, what the model thinks comes apart
// under one of two names, errors as a string or an object. What one server does alone stands beside
// it, in a class that inherits this one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backend/child/engine_wire.h"
#include "wire/json_guard.h"

namespace minerva::backend {

class OpenAiReader : public ChunkReader {
 public:
  // `origin`: the backend's name, of its errors; `speaker`: the server, in their messages.
  OpenAiReader(std::string_view origin, std::string_view speaker)
      : origin_(origin), speaker_(speaker) {}

  Result<void> read(const wire::SseEvent& event, std::vector<GenerationEvent>& out) final;
  bool finished() const final { return finished_; }
  Usage usage() const final { return usage_; }

 protected:
  struct Words {
    std::string text;
    std::string reasoning;
    bool last = false;  // the chunk says why the answer ended
  };
  // What the model wrote, thinking included, in its own form. The default puts what it thought
  // between <think> and </think>, as most models do.
  virtual std::string join(Words words);
  // Called once the usage has come.
  virtual Result<void> check_usage(const Usage& usage) const;
  // "SPEAKER sent WHAT".
  std::unexpected<Error> broken(std::string_view what) const;

 private:
  Result<void> read_choice(const wire::Json& choice, std::vector<GenerationEvent>& out);
  Result<void> read_end(const wire::Json& reason, std::vector<GenerationEvent>& out);
  Result<void> read_usage(const wire::Json& usage);
  Result<std::string> text_of(const wire::Json& object, const char* key) const;

  const std::string origin_;
  const std::string speaker_;
  bool thinking_ = false;
  bool ended_ = false;     // the choice
  bool finished_ = false;  // the stream
  Usage usage_;
};

}  // namespace minerva::backend
