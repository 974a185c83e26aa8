#include "process/environment.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "process/test_children.h"

namespace minerva::process {
namespace {

using Strings = std::vector<std::string>;

TEST(ChildEnvironment, IsAClosedList) {
  const Strings ours{"PATH=/usr/bin:/bin",
                     "HOME=/home/us",
                     "LANG=C.UTF-8",
                     "LC_ALL=C",
                     "TZ=UTC",
                     "TMPDIR=/var/tmp",
                     "CUDA_VISIBLE_DEVICES=0,1",
                     "USER=us",
                     "LC_EVIL=1",
                     "no equals sign",
                     "=nameless",
                     "PATH=/second",
                     "TERM=xterm"};
  EXPECT_EQ(child_environment(ours, "/private", {}),
            (Strings{"CUDA_VISIBLE_DEVICES=0,1", "HOME=/private", "LANG=C.UTF-8", "LC_ALL=C",
                     "PATH=/usr/bin:/bin", "TMPDIR=/var/tmp", "TZ=UTC"}));
}

TEST(ChildEnvironment, ExtraWinsAndIsChecked) {
  const std::vector<std::pair<std::string, std::string>> extra{{"HF_HUB_OFFLINE", "1"},
                                                               {"HOME", "/other"},
                                                               {"PATH", "/own"},
                                                               {"", "x"},
                                                               {"A=B", "x"},
                                                               {"ZERO", std::string("a\0b", 3)}};
  EXPECT_EQ(child_environment(Strings{"PATH=/bin"}, "/private", extra),
            (Strings{"HF_HUB_OFFLINE=1", "HOME=/other", "PATH=/own"}));
}

// Variables that make an engine load code, ask another host, listen elsewhere, or that are secrets.
TEST(ChildEnvironment, PoisonStaysHere) {
  const Strings poison{"LD_PRELOAD=/evil.so",
                       "LD_LIBRARY_PATH=/evil",
                       "LD_AUDIT=/evil.so",
                       "PYTHONPATH=/evil",
                       "PYTHONHOME=/evil",
                       "PYTHONSTARTUP=/evil.py",
                       "PYTHONINSPECT=1",
                       "PYTHONBREAKPOINT=evil",
                       "LLAMA_ARG_HOST=0.0.0.0",
                       "LLAMA_ARG_MODEL=/evil.gguf",
                       "LLAMA_API_KEY=secret",
                       "LLAMA_LOG_FILE=/evil",
                       "GGML_BACKEND_PATH=/evil.so",
                       "HF_TOKEN=secret",
                       "HUGGING_FACE_HUB_TOKEN=secret",
                       "HF_HOME=/evil",
                       "HF_ENDPOINT=http://evil",
                       "OPENAI_API_KEY=secret",
                       "ANTHROPIC_API_KEY=secret",
                       "MLX_VLM_SERVER_API_KEY=secret",
                       "HTTP_PROXY=http://evil",
                       "https_proxy=http://evil",
                       "ALL_PROXY=socks://evil",
                       "SSL_CERT_FILE=/evil",
                       "REQUESTS_CA_BUNDLE=/evil",
                       "BASH_ENV=/evil",
                       "ENV=/evil",
                       "IFS=x",
                       "OMP_TOOL_LIBRARIES=/evil.so",
                       "VK_ICD_FILENAMES=/evil.json",
                       "MINERVA_API_KEY=secret",
                       "LOCPATH=/evil"};
  ASSERT_GE(poison.size(), 30u);
  Strings ours = poison;
  ours.insert(ours.end(), {"PATH=/usr/bin:/bin", "LANG=C"});
  const Strings allowed{"HOME=/private", "LANG=C", "PATH=/usr/bin:/bin", "X=1"};
  const std::vector<std::pair<std::string, std::string>> extra{{"X", "1"}};
  ASSERT_EQ(child_environment(ours, "/private", extra), allowed);

  // And so it is in the program itself, with the same variables set here.
  for (const std::string& entry : poison) {
    // One that would trouble our own dynamic linker's children is poison for the guard as well.
    const std::size_t equals = entry.find('=');
    ::setenv(entry.substr(0, equals).c_str(), entry.substr(equals + 1).c_str(), 1);
  }
  const auto child = start(options_of({"/bin/sleep", "1000"}, allowed));
  for (const std::string& entry : poison) ::unsetenv(entry.substr(0, entry.find('=')).c_str());
  ASSERT_NE(child, nullptr);
  std::ifstream in("/proc/" + std::to_string(child->pid()) + "/environ", std::ios::binary);
  std::ostringstream seen;
  seen << in.rdbuf();
  std::string wanted;
  for (const std::string& entry : allowed) wanted += entry + '\0';
  EXPECT_EQ(seen.str(), wanted);
}

}  // namespace
}  // namespace minerva::process
