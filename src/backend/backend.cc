#include "backend/backend.h"

#include <fmt/core.h>

namespace minerva::backend {

Result<void> InferenceBackend::embed(EmbedRequest, std::shared_ptr<GenerationStream>) {
  return fail(Error{ErrorCode::Unsupported,
                    fmt::format("the engine {} makes no embeddings", name()), "model",
                    std::string(name())});
}

}  // namespace minerva::backend
