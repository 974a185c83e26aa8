// The real mlx_lm.server in the suite (MINERVA_MLX_PYTHON has it, MINERVA_SAMPLE_TINY_MLX is a
// small random model).
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/mlx/mlx_kind.h"
#include "conformance/backend_conformance.h"
#include "models/vocabulary_cache.h"

namespace minerva::backend {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool can_run() {
  return !variable("MINERVA_MLX_PYTHON").empty() && !variable("MINERVA_SAMPLE_TINY_MLX").empty();
}

MlxOptions mlx_options() {
  MlxOptions options;
  options.python = variable("MINERVA_MLX_PYTHON");
  options.environment = {"PATH=/usr/bin:/bin"};
  options.guard = {GUARD_PROGRAM, "guard"};
  options.check_folder = [](const ModelSpec&) -> Result<void> { return {}; };
  options.vocabulary = [](const ModelSpec& spec) -> Result<std::shared_ptr<const text::Tokenizer>> {
    MINERVA_ASSIGN(const auto vocabulary, models::load_vocabulary(spec.path));
    return vocabulary->tokenizer;
  };
  return options;
}

std::vector<Subject> subjects() {
  if (!can_run()) return {};
  static UpstreamLoop loop;
  Subject subject;
  subject.name = "tiny";
  subject.spec.name = "tiny";
  subject.spec.format = ModelFormat::Mlx;
  subject.spec.path = variable("MINERVA_SAMPLE_TINY_MLX");
  subject.spec.trained_context = 2048;
  subject.end_token = token_of("<|im_end|>");
  subject.make = [](const Clock& clock) {
    auto made = MlxKind(mlx_options(), loop, clock).make();
    return std::move(*made);
  };
  return {subject};
}

INSTANTIATE_TEST_SUITE_P(Mlx, BackendConformance, ::testing::ValuesIn(subjects()), subject_name);

TEST(MlxConformance, IsThere) {
  if (!can_run()) {
    GTEST_SKIP() << "NOT RUN: MINERVA_MLX_PYTHON or MINERVA_SAMPLE_TINY_MLX is not set";
  }
}

}  // namespace
}  // namespace minerva::backend
