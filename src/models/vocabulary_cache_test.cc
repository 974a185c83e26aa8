#include "models/vocabulary_cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>
#include <vector>

#include "models/model_store.h"
#include "support/byte_vocab.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using ::minerva::test::byte_vocab;
using ::minerva::test::TempFolder;
using ::minerva::test::write_file;

TEST(LoadedVocabulary, HoldsWhatTemplatesNeed) {
  const TempFolder folder;
  const std::string path = (folder.path() / "m.gguf").string();
  write_file(path, byte_vocab({.chat_template = "{{ messages }}", .add_bos = true}).bytes());
  const auto loaded = load_vocabulary(path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  const LoadedVocabulary& vocabulary = **loaded;
  EXPECT_EQ(vocabulary.chat_template, "{{ messages }}");
  EXPECT_EQ(vocabulary.bos_text, "<|begin|>");
  EXPECT_EQ(vocabulary.eos_text, "<|end|>");
  EXPECT_FALSE(vocabulary.unk_text);
  EXPECT_EQ(vocabulary.architecture, "llama");
  EXPECT_EQ(vocabulary.model_name, "Bytes");
  EXPECT_EQ(vocabulary.context_length, 4096U);
  // The ids that the fake backend takes.
  const auto ids =
      vocabulary.tokenizer->encode("hé<|im_end|>", {.add_special = true, .parse_special = true});
  ASSERT_TRUE(ids);
  EXPECT_EQ(*ids, (std::vector<TokenId>{256, 'h', 0xc3, 0xa9, 259}));
}

TEST(VocabularyCache, OneReadingForEachVersionOfAFile) {
  const TempFolder folder;
  const fs::path path = folder.path() / "m.gguf";
  write_file(path, byte_vocab().bytes());
  const ModelStore store({folder.path().string()});
  VocabularyCache cache(2);
  const ModelEntry entry = *store.resolve("m", false);

  std::vector<std::shared_ptr<const LoadedVocabulary>> seen(4);
  std::vector<std::thread> threads;
  for (auto& slot : seen) threads.emplace_back([&] { slot = *cache.get(entry); });
  for (auto& thread : threads) thread.join();
  for (const auto& vocabulary : seen) EXPECT_EQ(vocabulary, seen.front());

  write_file(path, byte_vocab({.architecture = "gemma3"}).bytes());
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds(5));
  const auto changed = cache.get(*store.resolve("m", false));
  ASSERT_TRUE(changed);
  EXPECT_EQ((*changed)->architecture, "gemma3");
  EXPECT_EQ(seen.front()->architecture, "llama");  // the old one lives on
}

TEST(VocabularyCache, ForgetsTheOneUsedLongestAgoAndKeepsNoFailure) {
  const TempFolder folder;
  for (const char* name : {"a", "b", "c"}) {
    write_file(folder.path() / (std::string(name) + ".gguf"), byte_vocab().bytes());
  }
  const ModelStore store({folder.path().string()});
  VocabularyCache cache(2);
  const auto get = [&](const char* name) { return *cache.get(*store.resolve(name, false)); };
  const auto a = get("a");
  const auto b = get("b");
  EXPECT_EQ(get("a"), a);
  const auto c = get("c");
  EXPECT_EQ(get("a"), a);
  EXPECT_NE(get("b"), b);

  ModelEntry entry = *store.resolve("c", false);
  entry.path = (folder.path() / "later.gguf").string();
  EXPECT_FALSE(cache.get(entry));
  write_file(entry.path, byte_vocab().bytes());
  EXPECT_TRUE(cache.get(entry));
}

}  // namespace
}  // namespace minerva::models
