#include "models/discovery.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "models/digest.h"
#include "models/model_name.h"
#include "models/model_store.h"
#include "models/test_files.h"
#include "models/test_hostile_names.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using backend::ModelFormat;
using ::minerva::test::TempFolder;

const std::string kRevision(40, 'a');

class SourcesTest : public ::testing::Test {
 protected:
  ModelStore store() const {
    StoreOptions options;
    options.sources = {{SourceKind::Folder, at("own")},
                       {SourceKind::Ollama, at("ollama")},
                       {SourceKind::HuggingFace, at("hub")},
                       {SourceKind::LmStudio, at("lmstudio")},
                       {SourceKind::LlamaCpp, at("llama.cpp")}};
    return ModelStore(std::move(options));
  }
  std::string at(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string config_layer(std::string_view text = R"({"model_format":"gguf"})") const {
    return ollama_layer(at("ollama"), "config", text);
  }
  // "library/llama3.2/3b" with this model layer.
  void write_ollama(const std::string& name, std::string_view layers,
                    std::string_view config = R"({"model_format":"gguf"})") const {
    write_manifest(at("ollama"), "registry.example/" + name, config_layer(config), layers);
  }
  std::string gguf_layer() const {
    return ollama_layer(at("ollama"), "model", text_of(small_gguf().bytes()));
  }
  TempFolder folder_;
};

std::vector<std::string> names_of(const std::vector<ModelEntry>& entries) {
  std::vector<std::string> names;
  for (const ModelEntry& entry : entries) names.push_back(entry.name);
  return names;
}

ModelEntry named(const std::vector<ModelEntry>& entries, std::string_view name) {
  const auto at = std::ranges::find(entries, name, &ModelEntry::name);
  EXPECT_NE(at, entries.end()) << name;
  return at == entries.end() ? ModelEntry{} : *at;
}

TEST_F(SourcesTest, NothingThereIsNothingFound) { EXPECT_TRUE(store().list().empty()); }

TEST_F(SourcesTest, OwnFoldersMayBeNested) {
  write_bytes(at("own") + "/a.gguf", small_gguf().bytes());
  write_bytes(at("own") + "/Repo-GGUF/b-Q4.gguf", small_gguf().bytes());
  write_hf_folder(at("own") + "/Smol-MLX");
  write_hf_folder(at("own") + "/org/Smol");
  write_text(at("own") + "/half.gguf.part", "GGUF");
  write_text(at("own") + "/old.pt",
             "\x80\x02"
             "c");
  write_text(at("own") + "/.cache/x.gguf", "hidden");
  const auto entries = store().list();
  EXPECT_EQ(names_of(entries), (std::vector<std::string>{"Repo-GGUF/b-Q4", "Smol-MLX", "a",
                                                         "half.gguf.part", "old", "org/Smol"}));
  EXPECT_EQ(named(entries, "org/Smol").format, ModelFormat::Safetensors);
  EXPECT_EQ(named(entries, "org/Smol").path, at("own") + "/org/Smol");
  EXPECT_EQ(named(entries, "org/Smol").source, "models folder");
  EXPECT_TRUE(named(entries, "half.gguf.part").problem.contains("not finished"));
  EXPECT_TRUE(named(entries, "old").problem.contains("pickle"));
  EXPECT_EQ(store().resolve("Smol-MLX", false)->path, at("own") + "/Smol-MLX");
}

TEST_F(SourcesTest, OllamaByItsManifests) {
  write_ollama("library/llama3.2/3b", gguf_layer());
  write_ollama("someone/llava/latest",
               gguf_layer() + "," +
                   ollama_layer(at("ollama"), "projector", text_of(small_projector(576).bytes())) +
                   "," + ollama_layer(at("ollama"), "adapter", text_of(small_adapter().bytes())) +
                   "," + ollama_layer(at("ollama"), "template", "{{ .Prompt }}"));
  write_manifest(at("ollama"), "other.host/org/model/Q4", config_layer(), gguf_layer());
  const auto entries = store().list();
  EXPECT_EQ(names_of(entries), (std::vector<std::string>{"llama3.2:3b", "other.host/org/model:Q4",
                                                         "someone/llava:latest"}));
  const ModelEntry plain = named(entries, "llama3.2:3b");
  EXPECT_EQ(plain.problem, "");
  EXPECT_EQ(plain.full_name, "ollama/llama3.2:3b");
  EXPECT_EQ(plain.source, "ollama");
  EXPECT_EQ(plain.format, ModelFormat::Gguf);
  EXPECT_EQ(plain.kv_bytes_per_token, 23040U);
  EXPECT_TRUE(plain.path.contains("/blobs/sha256-"));
  const ModelEntry seeing = named(entries, "someone/llava:latest");
  EXPECT_TRUE(seeing.sees);
  EXPECT_TRUE(seeing.mmproj_path.contains("/blobs/sha256-"));
  EXPECT_EQ(seeing.adapter_paths.size(), 1U);
  EXPECT_TRUE(std::ranges::any_of(
      seeing.evidence, [](const std::string& line) { return line.contains("layer template"); }));
  const ModelStore models = store();
  EXPECT_EQ(models.resolve("someone/llava", false)->name, "someone/llava:latest");
  EXPECT_EQ(models.resolve("ollama/llama3.2:3b", false)->path, plain.path);
  EXPECT_EQ(models.resolve("ollama/someone/llava", false)->path, seeing.path);
  const backend::ModelSpec spec = spec_of(seeing);
  EXPECT_EQ(spec.mmproj_path, seeing.mmproj_path);
  EXPECT_EQ(spec.adapter_paths, seeing.adapter_paths);
  EXPECT_EQ(spec.size_bytes, seeing.size_bytes);
  EXPECT_EQ(spec_of(plain).mmproj_path, std::nullopt);
}

// S38: a model on another machine would get our prompts.
TEST_F(SourcesTest, OllamasRemoteStubsAreRefused) {
  for (const char* config : {R"({"remote_host":"https://example.com:443","remote_model":"big"})",
                             R"({"remote_model":"big"})"}) {
    write_ollama("library/cloud/latest", gguf_layer(), config);
    const ModelEntry entry = named(store().list(), "cloud:latest");
    EXPECT_TRUE(entry.problem.contains("another machine")) << entry.problem;
    EXPECT_EQ(store().resolve("cloud", false).error().code, ErrorCode::InvalidModel);
  }
}

// S36: nothing but a digest leads from a manifest to a file.
TEST_F(SourcesTest, OllamasDigestsAreTheOnlyWayToAFile) {
  write_ollama("library/good/latest", gguf_layer());
  write_bytes(at("secret.gguf"), small_gguf().bytes());
  const std::string hex(64, 'a');
  int count = 0;
  for (const std::string& digest :
       {std::string("../../secret.gguf"), std::string("sha256:../../../secret.gguf"),
        std::string("sha256-") + std::string(64, 'A'), "sha256:" + hex + "/../x",
        "sha256:" + hex + "a", "sha256:" + hex.substr(1), "sha512:" + hex, hex, "sha256" + hex,
        "sha256::" + hex, at("secret.gguf"), std::string(), "sha256:" + hex.substr(1) + "g",
        "sha256:" + hex.substr(1) + "\\u0000", "sha256:" + hex + "\\n"}) {
    write_ollama("library/bad" + std::to_string(count++) + "/latest",
                 R"({"mediaType":"application/vnd.ollama.image.model","digest":")" + digest +
                     R"(","size":1})");
  }
  const auto entries = store().list();
  EXPECT_EQ(entries.size(), static_cast<std::size_t>(count) + 1) << "a broken one hides no other";
  for (const ModelEntry& entry : entries) {
    EXPECT_EQ(entry.problem.empty(), entry.name == "good:latest") << entry.name;
    if (!entry.problem.empty()) {
      EXPECT_TRUE(entry.problem.contains("no digest")) << entry.problem;
    }
    EXPECT_FALSE(entry.path.contains("secret"));
  }
}

TEST_F(SourcesTest, OllamasBrokenOnesAreNamed) {
  const std::string layer = gguf_layer();
  std::string larger = layer;
  larger.replace(larger.find("\"size\":") + 7, std::string::npos, "999999999}");
  const std::map<std::string, std::pair<std::string, std::string>> cases = {
      {"half", {larger, "999999999"}},
      {"none", {"", "no GGUF layer"}},
      {"two", {layer + "," + layer, "two model layers"}},
      {"gone",
       {R"({"mediaType":"x.model","digest":"sha256:)" + std::string(64, '0') + R"(","size":1})",
        "No such file"}}};
  for (const auto& [name, what] : cases) write_ollama("library/" + name + "/t", what.first);
  write_text(at("ollama") + "/manifests/registry.example/library/json/t", "nope");
  write_text(at("ollama") + "/manifests/registry.example/library/large/t",
             std::string((4 << 20) + 1, ' '));
  write_text(at("ollama") + "/manifests/registry.example/stray", "x");
  const auto entries = store().list();
  EXPECT_EQ(entries.size(), cases.size() + 2);
  for (const auto& [name, what] : cases) {
    const ModelEntry entry = named(entries, name + ":t");
    EXPECT_TRUE(entry.problem.contains(what.second)) << entry.problem;
    EXPECT_TRUE(entry.problem.contains("library/" + name)) << entry.problem;
  }
  EXPECT_TRUE(named(entries, "json:t").problem.contains("not valid JSON"));
  EXPECT_TRUE(named(entries, "large:t").problem.contains("bytes"));
}

TEST_F(SourcesTest, TheHuggingFaceCache) {
  const auto repository = [&](const std::string& name, const std::string& revision = kRevision) {
    return fs::path(at("hub")) / ("models--" + name) / "snapshots" / revision;
  };
  const auto mark = [&](const std::string& name, std::string_view text) {
    write_text(fs::path(at("hub")) / ("models--" + name) / "refs/main", text);
  };
  write_hf_folder(repository("org--Smol"));
  mark("org--Smol", kRevision);
  write_hf_folder(repository("org--Smol", std::string(40, 'b')), "broken");
  write_bytes(repository("org--Many-GGUF") / "m-Q4.gguf", small_gguf().bytes());
  write_bytes(repository("org--Many-GGUF") / "m-Q8.gguf", small_gguf().bytes());
  write_bytes(repository("org--One-GGUF") / "m-Q4.gguf", small_gguf().bytes());
  write_bytes(repository("org--One-GGUF") / "mmproj-m.gguf", small_projector(576).bytes());
  write_text(repository("org--tokenizer-only") / "config.json", "{}");
  write_text(repository("org--tokenizer-only") / "tokenizer.json", "{}");
  write_hf_folder(repository("plain"));
  mark("plain", "../../../../etc");
  write_text(fs::path(at("hub")) / "datasets--org--data/snapshots" / kRevision / "x.gguf", "x");
  write_hf_folder(repository("org--odd", "not-a-revision"));
  const auto entries = store().list();
  EXPECT_EQ(names_of(entries), (std::vector<std::string>{"org/Many-GGUF/m-Q4", "org/Many-GGUF/m-Q8",
                                                         "org/One-GGUF", "org/Smol", "plain"}));
  for (const ModelEntry& entry : entries) EXPECT_EQ(entry.problem, "") << entry.name;
  EXPECT_EQ(named(entries, "org/Smol").path, repository("org--Smol").string());
  EXPECT_EQ(named(entries, "org/Smol").source, "huggingface");
  EXPECT_TRUE(named(entries, "org/One-GGUF").sees);
  EXPECT_EQ(store().resolve("hf/org/Smol", false)->name, "org/Smol");
}

TEST_F(SourcesTest, LmStudioAndLlamaCpp) {
  write_bytes(at("lmstudio") + "/publisher/One-GGUF/one-Q4.gguf", small_gguf().bytes());
  write_bytes(at("lmstudio") + "/publisher/One-GGUF/mmproj-one.gguf", small_projector(576).bytes());
  write_bytes(at("lmstudio") + "/publisher/Two/a.gguf", small_gguf().bytes());
  write_bytes(at("lmstudio") + "/publisher/Two/b.gguf", small_gguf().bytes());
  write_hf_folder(at("lmstudio") + "/mlx-community/Smol-4bit");
  write_bytes(at("llama.cpp") + "/org_repo_m.gguf", small_gguf().bytes());
  write_bytes(at("llama.cpp") + "/org_lora.gguf", small_adapter().bytes());
  const auto entries = store().list();
  EXPECT_EQ(names_of(entries),
            (std::vector<std::string>{"mlx-community/Smol-4bit", "org_lora", "org_repo_m",
                                      "publisher/One-GGUF", "publisher/Two/a", "publisher/Two/b"}));
  EXPECT_TRUE(named(entries, "publisher/One-GGUF").sees);
  EXPECT_EQ(named(entries, "org_lora").kind, ModelKind::Adapter);
  EXPECT_FALSE(store().resolve("org_lora", false));
  EXPECT_EQ(store().resolve("lmstudio/publisher/Two/a", false)->name, "publisher/Two/a");
  EXPECT_EQ(store().resolve("llamacpp/org_repo_m", false)->source, "llama_cpp");
}

TEST_F(SourcesTest, OurOwnFolderWinsAndTheOthersGoByTheirFullName) {
  write_hf_folder(at("own") + "/org/Smol");
  write_hf_folder(fs::path(at("hub")) / "models--org--Smol/snapshots" / kRevision);
  write_hf_folder(at("lmstudio") + "/org/Smol");
  const auto entries = store().list();
  EXPECT_EQ(names_of(entries),
            (std::vector<std::string>{"hf/org/Smol", "lmstudio/org/Smol", "org/Smol"}));
  for (const ModelEntry& entry : entries) EXPECT_EQ(entry.problem, "") << entry.name;
  EXPECT_TRUE(named(entries, "org/Smol").path.starts_with(at("own")));
  EXPECT_TRUE(store().resolve("lmstudio/org/Smol", false)->path.starts_with(at("lmstudio")));
  write_text(at("own") + "/org/Smol/config.json", "broken");
  EXPECT_EQ(store().resolve("org/Smol", false)->source, "huggingface")
      << "a broken one keeps nothing from being used";
}

TEST_F(SourcesTest, AFolderThatChangesIsJudgedAgain) {
  write_hf_folder(at("own") + "/smol");
  const ModelStore models = store();
  EXPECT_EQ(models.resolve("smol", false)->problem, "");
  write_text(at("own") + "/smol/evil.py", "x");
  EXPECT_TRUE(models.resolve("smol", false)->own_code.contains("evil.py"));
  fs::remove(at("own") + "/smol/evil.py");
  EXPECT_EQ(models.resolve("smol", false)->own_code, "");
  fs::remove(at("own") + "/smol/model.safetensors");
  EXPECT_FALSE(models.resolve("smol", false));
  fs::remove_all(at("own") + "/smol");
  EXPECT_EQ(models.resolve("smol", false).error().code, ErrorCode::NotFound);
}

TEST_F(SourcesTest, FoldersAreResolvablePaths) {
  write_hf_folder(at("elsewhere") + "/smol");
  write_bytes(at("elsewhere") + "/m.gguf", small_gguf().bytes());
  write_bytes(at("elsewhere") + "/mmproj-m.gguf", small_projector(576).bytes());
  const ModelStore models = store();
  EXPECT_EQ(models.resolve(at("elsewhere") + "/smol/", true)->format, ModelFormat::Safetensors);
  EXPECT_EQ(models.resolve(at("elsewhere") + "/smol", true)->name, "smol");
  EXPECT_TRUE(models.resolve(at("elsewhere") + "/m.gguf", true)->sees);
  EXPECT_EQ(models.resolve(at("elsewhere") + "/smol", false).error().code, ErrorCode::NotFound);
  write_text(at("elsewhere") + "/smol/evil.py", "x");
  const auto seen = models.look_up(at("elsewhere") + "/smol", true);
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->own_code.contains("evil.py"));
  EXPECT_EQ(seen->architecture, "llama") << "the verdict tells the rest all the same";
}

// S36: at every place of a name, and with every source there.
TEST_F(SourcesTest, HostileNamesLeadNowhere) {
  write_bytes(at("own") + "/inside.gguf", small_gguf().bytes());
  write_ollama("library/llama3.2/3b", gguf_layer());
  write_bytes(at("secret.gguf"), small_gguf().bytes());
  const ModelStore models = store();
  const auto tail = [](const std::string& message) {
    return message.substr(message.find("; known"));
  };
  const std::string absent = models.resolve("absent", false).error().message;
  ASSERT_TRUE(absent.contains("llama3.2:3b")) << absent;
  std::size_t tried = 0;
  for (const std::string_view hostile : kHostile) {
    const std::string word(hostile);
    for (const std::string& name : {word, "inside/" + word, word + "/inside", "inside:" + word,
                                    word + ":3b", "ollama/" + word, "hf/" + word + "/x",
                                    "llama3.2" + word, word + "llama3.2:3b", "../" + word}) {
      if (name == "llama3.2:3b") continue;  // the empty word in front of it
      const auto found = models.resolve(name, false);
      ASSERT_FALSE(found) << name;
      EXPECT_EQ(found.error().code, ErrorCode::NotFound) << name;
      EXPECT_TRUE(tail(found.error().message).contains("inside")) << found.error().message;
      ++tried;
    }
  }
  EXPECT_GE(tried, 500U);
  for (const char* name : {"../secret", "own/../../secret", "../secret.gguf"})
    EXPECT_EQ(models.resolve(name, false).error().code, ErrorCode::NotFound) << name;
}

// What lies on the disk under such names is told of and hides nothing, and cannot be asked for.
TEST_F(SourcesTest, HostileNamesOnTheDisk) {
  write_ollama("library/good/latest", gguf_layer());
  std::size_t written = 0;
  for (const std::string_view hostile : kHostile) {
    const std::string word(hostile);
    if (word.empty() || word.contains('/') || word.contains('\0') || word == "." || word == ".." ||
        word.size() > 200) {
      continue;
    }
    write_text(fs::path(at("ollama")) / "manifests/registry.example/library" / word / "latest",
               "{}");
    write_bytes(fs::path(at("own")) / (word + ".gguf"), small_gguf().bytes());
    ++written;
  }
  EXPECT_GE(written, 60U);
  const ModelStore models = store();
  for (const ModelEntry& entry : models.list()) {
    if (entry.problem.empty()) {
      EXPECT_TRUE(ModelName::parse(entry.name)) << entry.name;
    }
    for (const char c : entry.name) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << entry.name;
  }
  EXPECT_TRUE(models.resolve("good", false));
}

TEST(Digest, OneForm) {
  const std::string hex = sha256_hex("x");
  EXPECT_EQ(Digest::parse("sha256:" + hex)->file_name(), "sha256-" + hex);
  EXPECT_EQ(Digest::parse("sha256-" + hex)->hex(), hex);
  for (const std::string& bad :
       {hex, "sha256:" + hex + "0", "sha256_" + hex, std::string("sha256:"), "SHA256:" + hex,
        " sha256:" + hex, "sha256:" + hex + " "}) {
    EXPECT_FALSE(Digest::parse(bad)) << bad;
  }
}

TEST(ModelSources, AreFoundByTheirVariables) {
  const auto roots = [](const std::vector<std::string>& wanted,
                        const std::map<std::string, std::string, std::less<>>& variables = {},
                        const std::string& home = "/home/me") {
    const auto sources = model_sources("/m", wanted, home, [&](std::string_view name) {
      const auto at = variables.find(name);
      return at == variables.end() ? std::nullopt : std::optional(at->second);
    });
    std::vector<std::string> out;
    if (!sources) return std::vector{sources.error().message};
    for (const ModelSource& source : *sources) out.push_back(source.root);
    return out;
  };
  using Roots = std::vector<std::string>;
  EXPECT_EQ(roots({}), (Roots{"/m", "/home/me/.ollama/models", "/home/me/.cache/huggingface/hub",
                              "/home/me/.lmstudio/models", "/home/me/.cache/lm-studio/models",
                              "/home/me/.cache/llama.cpp"}));
  EXPECT_EQ(roots({"none"}), (Roots{"/m"}));
  EXPECT_EQ(roots({}, {}, ""), (Roots{"/m"}));
  EXPECT_EQ(roots({"ollama", "huggingface"}, {{"OLLAMA_MODELS", "/o"}, {"HF_HOME", "/h"}}),
            (Roots{"/m", "/o", "/h/hub"}));
  EXPECT_EQ(roots({"huggingface", "llama_cpp"},
                  {{"HF_HOME", "/h"}, {"HF_HUB_CACHE", "/c"}, {"LLAMA_CACHE", "/l"}}),
            (Roots{"/m", "/c", "/l"}));
  EXPECT_TRUE(roots({"olama"}).front().contains("\"olama\""));
  EXPECT_TRUE(roots({"none", "ollama"}).front().contains("stands alone"));
}

}  // namespace
}  // namespace minerva::models
