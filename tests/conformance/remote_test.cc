// A remote server in the suite: another Minerva in a process of its own, with a small random model.
// What only a tokenizer could do, this engine declares that it cannot.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "backend/remote/remote_kind.h"
#include "conformance/backend_conformance.h"
#include "support/gguf_writer.h"
#include "support/listening_program.h"
#include "support/tiny_model.h"

namespace minerva::backend {
namespace {

// One for the whole program: it takes longer to start than most tests.
class OtherMinerva {
 public:
  OtherMinerva() {
    std::filesystem::create_directory(home_.path() / "models");
    test::write_file(home_.path() / "models" / "tiny.gguf", test::tiny_model({}).bytes());
    const std::string home = home_.path().string();
    program_ = std::make_unique<test::ListeningProgram>(
        std::vector<std::string>{MINERVA_BINARY, "serve", "--port", std::to_string(port_),
                                 "--threads", "1", "--kv-memory", "64M", "--log-level", "error"},
        std::vector<std::string>{"MINERVA_HOME=" + home, "HOME=" + home});
    EXPECT_TRUE(program_->wait_until_it_listens(port_));
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }

 private:
  const test::TempFolder home_;
  const std::uint16_t port_ = test::a_port();
  std::unique_ptr<test::ListeningProgram> program_;
};

std::vector<Subject> subjects() {
  static UpstreamLoop loop;
  static std::unique_ptr<OtherMinerva> server;
  Subject subject;
  subject.name = "minerva";
  subject.spec.name = "tiny";
  subject.spec.path = "tiny";
  subject.spec.format = ModelFormat::Remote;
  subject.context_size = 0;  // not ours to know
  subject.reads_files = false;
  subject.make = [](const Clock& clock) -> std::unique_ptr<InferenceBackend> {
    if (server == nullptr) server = std::make_unique<OtherMinerva>();
    RemoteOptions options;
    options.name = "x";
    options.urls = {server->url()};
    auto kind = RemoteKind::make_kind(options, loop, clock);
    EXPECT_TRUE(kind) << kind.error().message;
    return (*kind)->make().value();
  };
  return {subject};
}

INSTANTIATE_TEST_SUITE_P(Remote, BackendConformance, ::testing::ValuesIn(subjects()), subject_name);

}  // namespace
}  // namespace minerva::backend
