#include "models/code_scan.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "models/inspect.h"
#include "models/test_files.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using ::minerva::test::TempFolder;

class CodeScanTest : public ::testing::Test {
 protected:
  CodeScanTest() { write_hf_folder(model()); }
  fs::path model() const { return folder_.path() / "model"; }
  CodeScan scan() const {
    const auto folder = ModelFolder::open(model().string());
    EXPECT_TRUE(folder) << folder.error().message;
    const auto scan = scan_code(*folder);
    EXPECT_TRUE(scan) << scan.error().message;
    return scan.value_or(CodeScan{});
  }
  // Of a format that engines in Python alone read, it is the model's problem.
  std::string problem(std::vector<std::string> allow = {}) const {
    const ModelEntry entry = inspect_path(model().string(), allow);
    EXPECT_EQ(spec_of(entry).own_code, entry.own_code);
    const bool only_python = entry.format == backend::ModelFormat::OnnxGenAi;
    return only_python ? entry.problem : entry.own_code;
  }
  TempFolder folder_;
};

TEST_F(CodeScanTest, AnHonestFolderIsClean) {
  EXPECT_EQ(scan().found, "") << "a vocabulary may have the word auto_map";
  EXPECT_EQ(scan().hash, "");
  EXPECT_EQ(problem(), "");
}

TEST_F(CodeScanTest, AnyScriptAtAnyPlace) {
  for (const char* name : {"modeling.py", "a/b/c.py", "x.PY", "x.pyc", "lib/ops.so", "ops.so.1",
                           "ops.dll", ".hidden.py"}) {
    write_text(model() / name, "print('hello')");
    EXPECT_TRUE(scan().found.contains(name)) << name << ": " << scan().found;
    EXPECT_TRUE(problem().contains(name)) << problem();
    fs::remove(model() / name);
  }
}

TEST_F(CodeScanTest, AnyKeyInAnyJson) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"config.json", R"({"model_type":"llama","model_file":"evil.py"})"},
      {"config.json", R"({"auto_map":{"AutoModel":"modeling.X"}})"},
      {"tokenizer_config.json", R"({"auto_map":{"AutoTokenizer":["a",null]}})"},
      {"tokenizer_config.json", R"({"trust_remote_code":true})"},
      {"tokenizer_config.json", R"({"trust_remote_code":1})"},
      {"deep.json", R"({"a":[{"b":{"trust_remote_code":false}}]})"},
      {"sub/x.JSON", R"([{"model_file":null}])"},
      {"tokenizer.json", R"({"auto_map":{"a":"b"}})"},
      {"escaped.json", R"({"model\u005ffile":"evil.py"})"},
      {"escaped.json", R"({"\u0061uto_map":["x"]})"},
      {"twice.json", R"({"auto_map":{"a":"b"},"auto_map":1})"},
      {"broken.json", R"({"limit":NaN,"auto_map":{"a":"b"}})"},
      {"cut.json", R"({"a":"\u0061)"},
      {"genai_config.json", R"({"model":{"decoder":{"filename":"config.json","session_options":)"
                            R"({"custom_ops_library":"x"}}}})"}};
  for (const auto& [name, text] : cases) {
    write_hf_folder(model());
    write_text(model() / name, text);
    EXPECT_NE(scan().found, "") << name << " " << text;
    EXPECT_TRUE(problem().contains("code of its own")) << name << ": " << problem();
    fs::remove(model() / name);
  }
  write_hf_folder(model());
  write_text(model() / "wide.json", std::string("{\0\"\0a\0\"\0", 8));
  EXPECT_NE(scan().found, "") << "UTF-16 is not guessed";
  write_text(model() / "wide.json", R"({"limit":[0.0,Infinity],"text":"\u00e9 auto"})");
  EXPECT_EQ(scan().found, "") << "what Python alone reads is clean without the words";
}

TEST_F(CodeScanTest, ExactlyTheseFilesMayBeAllowed) {
  write_text(model() / "modeling.py", "one");
  const std::string hash = scan().hash;
  EXPECT_TRUE(hash.starts_with("sha256:"));
  EXPECT_EQ(hash.size(), 7U + 64U);
  EXPECT_TRUE(problem().contains("allow_code = [\"" + hash + "\"]")) << problem();
  EXPECT_EQ(problem({"sha256:other", hash}), "");
  write_text(model() / "modeling.py", "two");
  EXPECT_NE(problem({hash}), "") << "another script";
  write_text(model() / "modeling.py", "one");
  EXPECT_EQ(problem({hash}), "") << "the time of change counts for nothing";
  write_text(model() / "extra.json", "{}");
  EXPECT_NE(problem({hash}), "") << "another JSON file";
  fs::remove(model() / "extra.json");
  fs::rename(model() / "modeling.py", model() / "other.py");
  EXPECT_NE(problem({hash}), "") << "another name";
}

TEST_F(CodeScanTest, TheCachesLinksAreReadThrough) {
  const fs::path snapshot = folder_.path() / "models--o--n/snapshots/0123";
  const fs::path blobs = folder_.path() / "models--o--n/blobs";
  write_text(blobs / "aa11", R"({"auto_map":{"a":"b"}})");
  write_text(blobs / "bb22", std::string(kLlamaConfig));
  write_bytes(blobs / "cc33", test::small_safetensors());
  fs::create_directories(snapshot / "sub");
  fs::create_symlink("../../blobs/bb22", snapshot / "config.json");
  fs::create_symlink("../../blobs/cc33", snapshot / "model.safetensors");
  EXPECT_EQ(inspect_path(snapshot.string(), {}).problem, "");
  EXPECT_EQ(inspect_path(snapshot.string(), {}).size_bytes, fs::file_size(blobs / "cc33"));
  fs::create_symlink("../../../blobs/aa11", snapshot / "sub/tokenizer_config.json");
  EXPECT_TRUE(inspect_path(snapshot.string(), {}).own_code.contains("auto_map"));
  fs::remove(snapshot / "sub/tokenizer_config.json");
  fs::remove(blobs / "cc33");
  EXPECT_TRUE(inspect_path(snapshot.string(), {}).problem.contains("model.safetensors is missing"));
}

}  // namespace
}  // namespace minerva::models
