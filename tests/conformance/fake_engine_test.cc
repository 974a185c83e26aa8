// fake_engine, a program of its own, in the suite: all that lies between a backend and a process.
#include <gtest/gtest.h>

#include "conformance/backend_conformance.h"
#include "support/fake_engine_child.h"

namespace minerva::backend {
namespace {

std::vector<Subject> subjects() {
  static UpstreamLoop loop;
  Subject subject;
  subject.name = "fake_engine";
  subject.reads_files = false;
  subject.end_token = token_of("<|end|>");
  subject.make = [](const Clock& clock) {
    return std::make_unique<ChildBackend>(
        test::fake_engine_options({.flags = {"--end-one-in", "0"}}), loop, clock);
  };
  return {subject};
}

INSTANTIATE_TEST_SUITE_P(Child, BackendConformance, ::testing::ValuesIn(subjects()), subject_name);

}  // namespace
}  // namespace minerva::backend
