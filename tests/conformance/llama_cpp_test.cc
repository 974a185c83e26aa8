// The real llama-server in the suite (MINERVA_LLAMA_SERVER is its path, MINERVA_SAMPLE_SMOLLM2 a
// model), and what only the real one can show.
#include "backend/llama_cpp/llama_cpp.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "conformance/backend_conformance.h"
#include "conformance/recorder.h"

namespace minerva::backend {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using Outcome = EndEvent::Outcome;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool can_run() {
  return !variable("MINERVA_LLAMA_SERVER").empty() && !variable("MINERVA_SAMPLE_SMOLLM2").empty();
}

LlamaOptions llama_options() {
  LlamaOptions options;
  options.program = variable("MINERVA_LLAMA_SERVER");
  options.guard = {GUARD_PROGRAM, "guard"};
  options.environment = {"PATH=/usr/bin:/bin", "LLAMA_ARG_CTX_SIZE=17", "LLAMA_API_KEY=stolen"};
  options.threads = 2;
  options.prompt_cache_mib = 0;
  return options;
}

ModelSpec sample() {
  ModelSpec spec;
  spec.name = "smollm2";
  spec.format = ModelFormat::Gguf;
  spec.path = variable("MINERVA_SAMPLE_SMOLLM2");
  spec.trained_context = 8192;
  spec.kv_bytes_per_token = 23040;
  return spec;
}

std::vector<Subject> subjects() {
  if (!can_run()) return {};
  static UpstreamLoop loop;
  Subject subject;
  subject.name = "smollm2";
  subject.spec = sample();
  subject.make = [](const Clock& clock) {
    return *LlamaCppKind(llama_options(), loop, clock).make();
  };
  return {subject};
}

INSTANTIATE_TEST_SUITE_P(LlamaCpp, BackendConformance, ::testing::ValuesIn(subjects()),
                         subject_name);

}  // namespace
}  // namespace minerva::backend
