#include "models/learned_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "support/gguf_writer.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;

class LearnedMemoryTest : public ::testing::Test {
 protected:
  std::string path() const { return (folder_.path() / "state" / "memory.json").string(); }
  void write(const std::string& text) const {
    fs::create_directories(fs::path(path()).parent_path());
    std::ofstream(path(), std::ios::binary) << text;
  }
  std::string text() const {
    std::ifstream in(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  const test::TempFolder folder_;
  const MemoryKey key_{"llama_cpp", "b10434", "tiny.gguf", 1000, 123456789, 512};
};

TEST_F(LearnedMemoryTest, OutlivesTheServer) {
  EXPECT_FALSE(LearnedMemory::open(path())->find(key_));
  LearnedMemory::open(path())->put(key_, 77);
  EXPECT_EQ(LearnedMemory::open(path())->find(key_), 77U);
  LearnedMemory::open(path())->put(key_, 66);  // the last run, whatever the one before
  EXPECT_EQ(LearnedMemory::open(path())->find(key_), 66U);
  EXPECT_FALSE(fs::exists(path() + ".new"));
}

TEST_F(LearnedMemoryTest, EveryPartOfTheKeyCounts) {
  const auto memory = LearnedMemory::open(path());
  memory->put(key_, 77);
  const auto other = [&](auto change) {
    MemoryKey key = key_;
    change(key);
    return memory->find(key).has_value();
  };
  EXPECT_FALSE(other([](MemoryKey& key) { key.engine = "mlx"; }));
  EXPECT_FALSE(other([](MemoryKey& key) { key.engine_version = "b1"; }));
  EXPECT_FALSE(other([](MemoryKey& key) { key.model = "other.gguf"; }));
  EXPECT_FALSE(other([](MemoryKey& key) { key.size_bytes = 1001; }));
  EXPECT_FALSE(other([](MemoryKey& key) { key.modified_ns = 5; }));
  EXPECT_FALSE(other([](MemoryKey& key) { key.context = 0; }));
}

TEST_F(LearnedMemoryTest, IsBounded) {
  const auto memory = LearnedMemory::open(path());
  MemoryKey key = key_;
  for (std::uint64_t i = 0; i < LearnedMemory::kEntriesMax + 10; ++i) {
    key.context = i + 1;
    memory->put(key, 5);
  }
  const auto again = LearnedMemory::open(path());
  EXPECT_TRUE(again->find(key));
  key.context = 10;
  EXPECT_FALSE(again->find(key));
  key.context = 11;
  EXPECT_TRUE(again->find(key));
  memory->put(key, 0);
  memory->put(key, ~std::uint64_t{0});
  EXPECT_EQ(memory->find(key), 5U) << "what cannot be is not learned";
}

TEST_F(LearnedMemoryTest, WhatMakesNoSenseIsLeftOut) {
  for (const char* broken :
       {"", "[]", "{", "{\"loads\":7}", "\xff\xfe", "{}", "null", "{\"loads\":[],\"loads\":[]}"}) {
    write(broken);
    const auto memory = LearnedMemory::open(path());
    EXPECT_FALSE(memory->find(key_)) << broken;
    memory->put(key_, 9);
    EXPECT_EQ(LearnedMemory::open(path())->find(key_), 9U) << broken;
  }
  // A sound entry among others that are none.
  std::string sound = text();
  sound.insert(sound.find('[') + 1,
               R"(7,{},{"engine":"x"},{"engine":"llama_cpp","engine_version":"","model":"m",)"
               R"("size_bytes":-1,"modified_ns":0,"context":0,"bytes":5},)");
  write(sound);
  EXPECT_EQ(LearnedMemory::open(path())->find(key_), 9U);
  write(std::string(2U << 20U, ' '));
  EXPECT_FALSE(LearnedMemory::open(path())->find(key_));
}

TEST_F(LearnedMemoryTest, AFolderThatCannotBeWrittenIsNoFailure) {
  std::ofstream(folder_.path() / "file") << "x";
  const auto memory = LearnedMemory::open((folder_.path() / "file" / "memory.json").string());
  memory->put(key_, 5);
  EXPECT_EQ(memory->find(key_), 5U);
}

}  // namespace
}  // namespace minerva::models
