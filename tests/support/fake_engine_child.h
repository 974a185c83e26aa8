// fake_engine as the child of a ChildBackend, spoken to as llama-server is. FAKE_ENGINE and
// GUARD_PROGRAM are paths of the programs; a test that includes this defines both.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/child/child_backend.h"
#include "backend/llama_cpp/llama_wire.h"
#include "formats/gguf.h"
#include "process/port.h"
#include "support/byte_vocab.h"

namespace minerva::test {

struct FakeEngineChild {
  std::vector<std::string> flags = {};  // of fake_engine (tests/support/fake_engine/options.h)
  std::vector<std::string> environment = {};  // "NAME=value"
  bool key = true;                            // it asks for one
  bool own_tokenizer = true;                  // else only the engine could tokenize
  bool by_port = false;                       // a port in place of a socket
  std::uint16_t port = 0;                     // this one; 0: a free one
};

inline Result<std::shared_ptr<const text::Tokenizer>> byte_tokenizer() {
  MINERVA_ASSIGN(const auto file, formats::GgufFile::parse(byte_vocab().bytes()));
  return text::Tokenizer::from_gguf(*file);
}

inline Result<backend::LaunchPlan> plan_fake_engine(const FakeEngineChild& wanted,
                                                    std::size_t context_size) {
  backend::LaunchPlan plan;
  plan.model.name = "fake";
  plan.model.context_size = context_size == 0 ? 512 : context_size;
  if (wanted.own_tokenizer) {
    MINERVA_ASSIGN(plan.model.tokenizer, byte_tokenizer());
  }
  MINERVA_ASSIGN(auto folder, process::PrivateFolder::make("minerva-fake-"));
  plan.folder = std::make_shared<process::PrivateFolder>(std::move(folder));
  process::ChildOptions child;
  child.name = "fake_engine";
  child.argv = {FAKE_ENGINE, "--ctx-size", std::to_string(plan.model.context_size)};
  if (wanted.by_port) {
    std::uint16_t port = wanted.port;
    if (port == 0) {
      MINERVA_ASSIGN(port, process::free_loopback_port());
    }
    plan.upstream.address.port = port;
    plan.prove_port = true;
    child.argv.insert(child.argv.end(), {"--port", std::to_string(port)});
  } else {
    plan.upstream.address.socket_path = plan.folder->path() + "/fake.sock";
    child.argv.insert(child.argv.end(), {"--socket", plan.upstream.address.socket_path});
  }
  if (wanted.key) {
    const std::string key = process::random_key();
    MINERVA_ASSIGN(const std::string file, plan.folder->write_secret("key", key + "\n"));
    child.argv.insert(child.argv.end(), {"--api-key-file", file});
    plan.upstream.key = Secret(key);
  }
  child.argv.insert(child.argv.end(), wanted.flags.begin(), wanted.flags.end());
  child.environment = wanted.environment;
  child.guard = {GUARD_PROGRAM, "guard"};
  plan.child = std::move(child);
  return plan;
}

inline backend::ChildBackendOptions fake_engine_options(FakeEngineChild wanted) {
  backend::ChildBackendOptions options;
  options.wire = std::make_shared<backend::LlamaWire>();
  options.ladder = {std::chrono::seconds(1), std::chrono::seconds(1)};
  options.ready_max = std::chrono::seconds(30);
  options.plan = [wanted = std::move(wanted)](const backend::ModelSpec&, std::size_t context) {
    return plan_fake_engine(wanted, context);
  };
  return options;
}

}  // namespace minerva::test
