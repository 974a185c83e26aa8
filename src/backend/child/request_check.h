// What a request must satisfy before an engine elsewhere is asked: refused here, nothing is sent.
// Private to this room. Pure functions.
#pragma once

#include "backend/backend.h"
#include "backend/child/engine_wire.h"
#include "backend/child/generation.h"
#include "base/result.h"

namespace minerva::backend {

Result<void> check_request(const GenerateRequest& request, const Capabilities& can,
                           const WireModel& model);

// Fills in the plan's tokens or text, and max_tokens, clamped to the context where it is known.
Result<void> resolve_prompt(const GenerateRequest& request, const WireModel& model,
                            GenerationPlan& plan);

}  // namespace minerva::backend
