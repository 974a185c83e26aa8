// Our own engine as a subject of the suite.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "backend/native/native_backend.h"
#include "base/metrics.h"
#include "conformance/backend_conformance.h"
#include "engine/compute_pool.h"
#include "kernels/kernel_table.h"

namespace minerva::backend {

// The subject's backends share one pool of two threads, so that steps are really split.
inline Subject native_subject(std::string name, std::string path,
                              std::string end_text = "<|end|>") {
  struct Machine {
    engine::ComputePool pool{2};
    NoMetrics metrics;
  };
  const auto machine = std::make_shared<Machine>();
  Subject subject;
  subject.make = [machine](const Clock& clock) {
    NativeOptions options;
    options.kv_bytes_max = 64ULL << 20;
    return std::make_unique<NativeBackend>(options, machine->pool, kernels::best_kernels(), clock,
                                           machine->metrics);
  };
  subject.end_token = token_of(std::move(end_text));
  subject.spec.name = name;
  subject.spec.path = std::move(path);
  subject.name = std::move(name);
  return subject;
}

}  // namespace minerva::backend
