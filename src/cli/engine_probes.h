// A look at every engine that this machine may have, side by side: one that hangs costs its own
// time only.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/engine_kind.h"
#include "base/clock.h"

namespace minerva::cli {

struct ProbedEngine {
  std::string name;
  backend::Availability found;
};

// In the order of `kinds`. Each probe has `time_max`.
std::vector<ProbedEngine> probe_engines(std::span<const std::shared_ptr<backend::EngineKind>> kinds,
                                        Duration time_max);

}  // namespace minerva::cli
