// A stream of OpenAI's chat or completion chunks, as events. Servers differ: text and the reason of
// the end may share a chunk, roles come with or without text, errors as a string or an object.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backend/child/engine_wire.h"
#include "wire/json_guard.h"

namespace minerva::backend {

class RemoteReader final : public ChunkReader {
 public:
  explicit RemoteReader(std::string_view name) : name_(name) {}

  Result<void> read(const wire::SseEvent& event, std::vector<GenerationEvent>& out) override;
  bool finished() const override { return finished_; }
  Usage usage() const override { return usage_; }

 private:
  Result<void> read_choice(const wire::Json& choice, std::vector<GenerationEvent>& out);
  void read_usage(const wire::Json& usage);

  const std::string name_;
  bool thinking_ = false;
  bool ended_ = false;     // the choice
  bool finished_ = false;  // the stream
  Usage usage_;
};

}  // namespace minerva::backend
