// Our own engine in the suite, on a sample model (MINERVA_SAMPLE_SMOLLM2 is its path).
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "conformance/backend_conformance.h"
#include "conformance/native_subject.h"

namespace minerva::backend {
namespace {

std::vector<Subject> subjects() {
  const char* path = std::getenv("MINERVA_SAMPLE_SMOLLM2");
  if (path == nullptr || *path == 0) return {};
  static const Subject sample = native_subject("smollm2", path, "<|im_end|>");
  return {sample};
}

INSTANTIATE_TEST_SUITE_P(Native, BackendConformance, ::testing::ValuesIn(subjects()), subject_name);

TEST(NativeSample, IsThere) {
  if (subjects().empty()) GTEST_SKIP() << "NOT RUN: MINERVA_SAMPLE_SMOLLM2 is not set";
}

}  // namespace
}  // namespace minerva::backend
