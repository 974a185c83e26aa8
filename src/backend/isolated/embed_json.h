// An EmbedRequest's inputs as JSON, and the vectors in OpenAI's shape, which ChildBackend reads;
// in base64, so that every bit comes through. Pure but for GatheredVectors' own state.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/event.h"
#include "backend/request.h"
#include "base/result.h"

namespace minerva::backend {

// {"inputs":[[ids] or "text", …]}
Result<std::string> embed_json(std::span<const EmbedInput> inputs);
Result<EmbedRequest> parse_embed_json(std::string_view body);

// The answer while it comes together.
class GatheredVectors {
 public:
  explicit GatheredVectors(std::size_t inputs) : vectors_(inputs) {}
  void take(const EmbeddingEvent& event);
  // The body, or why there is none.
  Result<std::string> finish(const EndEvent& end) const;

 private:
  std::vector<std::string> vectors_;  // base64
};

}  // namespace minerva::backend
