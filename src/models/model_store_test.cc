#include "models/model_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/byte_vocab.h"
#include "support/gguf_writer.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using ::minerva::test::byte_vocab;
using ::minerva::test::GgufWriter;
using ::minerva::test::TempFolder;
using ::minerva::test::write_file;

void write_text(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

GgufWriter vocab_with_tensors(std::size_t count) {
  GgufWriter writer = byte_vocab();
  const std::array<std::uint64_t, 1> dims = {32};
  const std::vector<float> values(32, 1.0F);
  for (std::size_t i = 0; i < count; ++i) {
    writer.add_f32_tensor("t" + std::to_string(i), dims, values);
  }
  return writer;
}

ModelEntry only(const std::vector<ModelEntry>& entries, std::string_view name) {
  const auto found = std::ranges::count(entries, name, &ModelEntry::name);
  EXPECT_EQ(found, 1) << name;
  const auto at = std::ranges::find(entries, name, &ModelEntry::name);
  return at == entries.end() ? ModelEntry{} : *at;
}

TEST(ModelStem, SplitFilesAreOneModel) {
  EXPECT_EQ(model_stem("/a/x.gguf").name, "x");
  const ModelStem part = model_stem("/a/x-00002-of-00003.gguf");
  EXPECT_EQ(part.name, "x");
  EXPECT_EQ(part.part, 2U);
  EXPECT_EQ(part.parts, 3U);
  for (const char* whole : {"x-00004-of-00003", "x-00000-of-00003", "x-0001-of-0003", "x-1-of-3",
                            "-00001-of-00003", "x_00001-of-00003", "x-0000a-of-00003"}) {
    EXPECT_EQ(model_stem(std::string(whole) + ".gguf").name, whole);
  }
}

TEST(NearestFirst, ByEditDistanceThenAlphabet) {
  EXPECT_EQ(nearest_first("lama", {"gemma", "zebra-long", "llama", "lima"}),
            (std::vector<std::string>{"lima", "llama", "gemma", "zebra-long"}));
}

TEST(ModelStore, ListsWhatThereIsAndWhatIsWrongWithIt) {
  const TempFolder folder;
  write_file(folder.path() / "good.gguf", byte_vocab().bytes());
  write_text(folder.path() / "broken.gguf", "GGUF and then nothing");
  write_text(folder.path() / "my model.gguf", "x");
  write_file(folder.path() / "odd name.gguf", byte_vocab().bytes());
  write_text(folder.path() / "readme.txt", "not a model");
  fs::create_directory(folder.path() / "folder.gguf");
  const auto parts = vocab_with_tensors(4).shards(2);
  write_file(minerva::test::shard_path(folder.path(), "split", 1, 2), parts[0]);
  write_file(minerva::test::shard_path(folder.path(), "split", 2, 2), parts[1]);
  write_file(minerva::test::shard_path(folder.path(), "headless", 2, 2), parts[1]);
  write_file(minerva::test::shard_path(folder.path(), "cut", 1, 2), parts[0]);

  const ModelStore store({folder.path().string()});
  const auto entries = store.list();
  EXPECT_EQ(entries.size(), 7U);
  EXPECT_TRUE(std::ranges::is_sorted(entries, {}, &ModelEntry::name));

  const ModelEntry good = only(entries, "good");
  EXPECT_EQ(good.problem, "");
  EXPECT_EQ(good.architecture, "llama");
  EXPECT_EQ(good.context_length, 4096U);
  EXPECT_EQ(good.size_bytes, fs::file_size(folder.path() / "good.gguf"));
  EXPECT_GT(good.modified_unix, 1'600'000'000);

  const ModelEntry split = only(entries, "split");
  EXPECT_EQ(split.problem, "");
  EXPECT_EQ(split.size_bytes, parts[0].size() + parts[1].size());
  EXPECT_TRUE(split.path.ends_with("split-00001-of-00002.gguf"));

  EXPECT_NE(only(entries, "broken").problem, "");
  EXPECT_NE(only(entries, "cut").problem, "");
  EXPECT_NE(only(entries, "my model").problem, "");
  EXPECT_NE(only(entries, "odd name").problem.find("rename"), std::string::npos);
  EXPECT_NE(only(entries, "headless").problem.find("part 1 of 2 is missing"), std::string::npos);
}

TEST(ModelStore, AFileThatChangesIsReadAgain) {
  const TempFolder folder;
  const fs::path path = folder.path() / "m.gguf";
  const ModelStore store({folder.path().string()});
  EXPECT_TRUE(store.list().empty());
  write_text(path, "nothing");
  EXPECT_NE(only(store.list(), "m").problem, "");
  write_file(path, byte_vocab().bytes());
  EXPECT_EQ(only(store.list(), "m").problem, "");
  write_file(path, byte_vocab({.architecture = "gemma3"}).bytes());
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds(5));
  EXPECT_EQ(only(store.list(), "m").architecture, "gemma3");
  fs::remove(path);
  EXPECT_TRUE(store.list().empty());
}

TEST(ModelStore, NamesAndPaths) {
  const TempFolder folder;
  const TempFolder elsewhere;
  write_file(folder.path() / "inside.gguf", byte_vocab().bytes());
  write_file(elsewhere.path() / "outside.gguf", byte_vocab().bytes());
  write_file(elsewhere.path() / "given.gguf", byte_vocab().bytes());
  const std::string outside = (elsewhere.path() / "outside.gguf").string();
  const ModelStore store({folder.path().string(), "/nonexistent"},
                         {(elsewhere.path() / "given.gguf").string()});

  EXPECT_EQ(store.resolve("inside", false)->path, (folder.path() / "inside.gguf").string());
  EXPECT_EQ(store.resolve("given", false)->path, (elsewhere.path() / "given.gguf").string());
  EXPECT_EQ(store.resolve(outside, true)->name, "outside");
  write_file(elsewhere.path() / "odd name.gguf", byte_vocab().bytes());
  const ModelStore given({}, {(elsewhere.path() / "odd name.gguf").string()});
  EXPECT_TRUE(given.resolve("odd name", true)) << "the command line may say any name";
  EXPECT_EQ(given.resolve("odd name", false).error().code, ErrorCode::NotFound)
      << "a client may not, also once the name is known";

  const auto missing = store.resolve((folder.path() / "none.gguf").string(), true);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
  EXPECT_NE(missing.error().message.find("no such model file"), std::string::npos);
}

TEST(ModelStore, UnknownNamesNameTheKnownOnesNearestFirst) {
  const TempFolder folder;
  for (const char* name : {"alpha", "beta", "bet"}) {
    write_file(folder.path() / (std::string(name) + ".gguf"), byte_vocab().bytes());
  }
  write_text(folder.path() / "broken.gguf", "x");
  const ModelStore store({folder.path().string()});
  const auto unknown = store.resolve("bets", false);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::NotFound);
  EXPECT_EQ(unknown.error().param, "model");
  EXPECT_EQ(unknown.error().message, "unknown model 'bets'; known: bet, beta, alpha");

  const auto broken = store.resolve("broken", false);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, ErrorCode::InvalidModel);

  const auto none = ModelStore(StoreOptions{}).resolve("x", false);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("no model is known"), std::string::npos);
}

// Through the API no name reaches a file outside the folders, and the answer does not tell whether
// there is one.
TEST(ModelStore, AClientCannotNameAPath) {
  const TempFolder folder;
  const fs::path inner = folder.path() / "models";
  fs::create_directory(inner);
  write_file(inner / "inside.gguf", byte_vocab().bytes());
  write_file(inner / "odd name.gguf", byte_vocab().bytes());
  write_file(folder.path() / "secret.gguf", byte_vocab().bytes());
  const ModelStore store({inner.string()});
  const std::string absolute = (folder.path() / "secret.gguf").string();
  for (const std::string& name : {std::string("../secret"), std::string("../secret.gguf"), absolute,
                                  absolute.substr(0, absolute.size() - 5), std::string("./inside"),
                                  std::string("inside.gguf"), std::string("odd name"),
                                  std::string("inside\0", 7), std::string("models/inside")}) {
    const auto found = store.resolve(name, false);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().code, ErrorCode::NotFound) << name;
    EXPECT_TRUE(found.error().message.ends_with("; known: inside")) << found.error().message;
  }
  const std::string there = store.resolve("../secret", false).error().message;
  const std::string absent = store.resolve("../absent", false).error().message;
  EXPECT_EQ(there.substr(there.find(';')), absent.substr(absent.find(';')));

  // A hostile name can neither flood the message nor move a terminal's cursor.
  const auto huge = store.resolve("\x1b[2J\n" + std::string(1 << 20, 'a'), false);
  ASSERT_FALSE(huge);
  EXPECT_LT(huge.error().message.size(), 400U);
  EXPECT_EQ(huge.error().message.find('\x1b'), std::string::npos);
  EXPECT_EQ(huge.error().message.find('\n'), std::string::npos);
}

TEST(ModelStore, OfEqualNamesTheFirstUsableOneAnswers) {
  const TempFolder first;
  const TempFolder second;
  write_text(first.path() / "a.gguf", "broken");
  write_file(second.path() / "a.gguf", byte_vocab().bytes());
  write_file(first.path() / "b.gguf", byte_vocab().bytes());
  write_file(second.path() / "b.gguf", byte_vocab().bytes());
  const ModelStore store({first.path().string(), second.path().string()});
  EXPECT_EQ(store.list().size(), 4U);
  EXPECT_EQ(store.resolve("a", false)->path, (second.path() / "a.gguf").string());
  EXPECT_EQ(store.resolve("b", false)->path, (first.path() / "b.gguf").string());
}

}  // namespace
}  // namespace minerva::models
