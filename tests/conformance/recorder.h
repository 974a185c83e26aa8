// Reads a generation to its end and keeps what came, checking on the way what must hold for any:
// one end and nothing behind it, each choice ended once, no token behind a choice's end.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace minerva::backend {

struct Recording {
  std::map<std::uint32_t, std::vector<TokenEvent>> tokens;  // by choice
  std::map<std::uint32_t, FinishReason> reasons;
  std::map<std::uint32_t, std::vector<float>> vectors;  // by input
  std::optional<EndEvent> end;

  // Of an engine that gives no ids, the bytes of its text stand for them.
  std::vector<TokenId> ids(std::uint32_t choice = 0) const;
  bool has_ids() const;
  std::string bytes(std::uint32_t choice = 0) const;
  // As the engine says where it gives no ids: an event may then hold several tokens.
  std::size_t token_count() const;
};

// Waits for the end, a minute at most.
Recording record(GenerationStream& stream);

// generate() and record(); a refusal is a test failure.
Recording run(InferenceBackend& engine, GenerateRequest request);

}  // namespace minerva::backend
