// S01: a model file is the first thing an attacker hands us. Every lie gets an error that names it,
// and no declared number makes the parser reserve more than the file is long.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <new>
#include <string>

#include "base/rng.h"
#include "formats/gguf.h"
#include "support/gguf_cases.h"

namespace {

// What this thread asked of the heap; -1 failures_in means "never fail".
struct HeapWatch {
  std::size_t largest = 0;
  long failures_in = -1;
};
thread_local HeapWatch heap_watch;

void* watched_new(std::size_t size) {
  heap_watch.largest = std::max(heap_watch.largest, size);
  if (heap_watch.failures_in >= 0 && heap_watch.failures_in-- == 0) throw std::bad_alloc();
  void* at = std::malloc(std::max<std::size_t>(size, 1));
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

}  // namespace

void* operator new(std::size_t size) { return watched_new(size); }
void* operator new[](std::size_t size) { return watched_new(size); }
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t) noexcept { std::free(at); }

namespace minerva::formats {
namespace {

using test::GgufWriter;
using ::testing::AnyOf;
using ::testing::HasSubstr;

TEST(GgufHostile, EveryLieIsRefusedByName) {
  const auto cases = test::hostile_gguf_cases();
  ASSERT_GT(cases.size(), 100u);
  for (const auto& hostile : cases) {
    auto bytes = hostile.bytes;
    heap_watch = {};
    const auto file = GgufFile::parse(std::move(bytes));
    const std::size_t largest = heap_watch.largest;
    ASSERT_FALSE(file.has_value()) << hostile.name;
    EXPECT_EQ(file.error().code, hostile.code) << hostile.name << ": " << file.error().message;
    EXPECT_THAT(file.error().message, HasSubstr(hostile.message_part)) << hostile.name;
    EXPECT_FALSE(file.error().param.empty()) << hostile.name;
    // Messages take a few hundred bytes, however small the file.
    EXPECT_LE(largest, std::max<std::size_t>(hostile.bytes.size(), 1024)) << hostile.name;
  }
}

TEST(GgufHostile, TruncationAtEveryByte) {
  const auto whole = test::rich_gguf().bytes();
  ASSERT_GT(whole.size(), 2000u);
  const auto file = GgufFile::parse(whole);
  ASSERT_TRUE(file.has_value());
  const GgufTensor& last = (*file)->tensors().back();
  // Padding after the last tensor may be missing.
  std::size_t padding = 0;
  while (whole[whole.size() - 1 - padding] == std::byte{0}) ++padding;
  EXPECT_EQ(last.data.back(), whole[whole.size() - 1 - padding]);
  for (std::size_t size = 0; size < whole.size() - padding; ++size) {
    const auto cut = GgufFile::parse({whole.begin(), whole.begin() + static_cast<long>(size)});
    ASSERT_FALSE(cut.has_value()) << size;
    ASSERT_EQ(cut.error().code, ErrorCode::InvalidModel) << size << ": " << cut.error().message;
    ASSERT_THAT(cut.error().message,
                AnyOf(HasSubstr("not finished"), HasSubstr("ends inside"), HasSubstr("is empty")))
        << size;
  }
  for (std::size_t size = whole.size() - padding; size <= whole.size(); ++size) {
    EXPECT_TRUE(GgufFile::parse({whole.begin(), whole.begin() + static_cast<long>(size)}));
  }
}

// Every byte of the tables set to every value: an error or a file whose tensors lie inside it.
TEST(GgufHostile, EveryByteChanged) {
  const auto whole = test::rich_gguf().bytes();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int value : {0, 1, 9, 0x7f, 0x80, 0xff}) {
      auto bytes = whole;
      bytes[at] = static_cast<std::byte>(value);
      const auto file = GgufFile::parse(std::move(bytes));
      if (!file) continue;
      for (const GgufTensor& tensor : (*file)->tensors()) {
        const DTypeInfo& info = dtype_info(tensor.type);
        ASSERT_EQ(tensor.data.size(), tensor.elements() / info.block * info.block_bytes);
        ASSERT_LE(tensor.data.size(), whole.size());
      }
      for (const GgufKeyValue& entry : (*file)->metadata()) {
        ASSERT_FALSE(entry.value.describe(1000).empty() && entry.value.count != 0);
      }
    }
  }
}

// The size the parser computes, or refuses to, against 128-bit arithmetic. No such tensor is in the
// file, so every one is refused; the message carries the number.
TEST(GgufHostile, TensorBytesNeverWrap) {
  std::uint64_t draw = 0;
  for (const DTypeInfo& info : all_dtypes()) {
    for (int round = 0; round < 200; ++round) {
      std::array<std::uint64_t, 4> dims{};
      for (std::uint64_t& dim : dims) {
        const auto bits = static_cast<std::uint64_t>(uniform(1, 2, draw++) * 40);
        dim = 1 + static_cast<std::uint64_t>(uniform(1, 3, draw) *
                                             std::ldexp(1.0, static_cast<int>(bits)));
      }
      dims[0] *= info.block;
      constexpr auto kElementsMax =
          static_cast<unsigned __int128>(std::numeric_limits<std::int64_t>::max());
      unsigned __int128 elements = 1;
      for (const std::uint64_t dim : dims) elements = std::min(elements * dim, kElementsMax + 1);
      const unsigned __int128 length = elements / info.block * info.block_bytes;
      std::string expected = "bytes at offset 0";
      if (elements > kElementsMax) {
        expected = "more than 2^63 elements";
      } else if (length > std::numeric_limits<std::uint64_t>::max()) {
        expected = "more than 2^64 bytes";
      } else if (length > 4) {
        expected = "is " + std::to_string(static_cast<std::uint64_t>(length)) + " " + expected;
      } else {
        continue;  // it fits the four bytes that are there
      }
      GgufWriter writer;
      writer.add_tensor("t", info.type, dims, std::vector<std::byte>(4));
      auto bytes = writer.bytes();
      bytes.resize(bytes.size() - 28);  // without the padding
      const auto file = GgufFile::parse(std::move(bytes));
      ASSERT_FALSE(file.has_value()) << info.name;
      ASSERT_THAT(file.error().message, HasSubstr(expected)) << info.name;
    }
  }
}

TEST(GgufHostile, NamesAreEscapedAndCutInMessages) {
  const std::string name = "\x1b[2J\n" + std::string(5000, 'n');
  GgufWriter writer;
  writer.add_raw(name, 13, {});
  const auto file = GgufFile::parse(writer.bytes());
  ASSERT_FALSE(file.has_value());
  EXPECT_LT(file.error().message.size(), 300u);
  EXPECT_EQ(file.error().message.find_first_of("\x1b\n"), std::string::npos);
}

// Whichever allocation fails, the answer is an error and nothing leaks (the sanitizer build looks).
TEST(GgufHostile, AnyAllocationMayFail) {
  const auto whole = test::rich_gguf().bytes();
  for (long n = 0;; ++n) {
    ASSERT_LT(n, 100000);
    auto bytes = whole;
    heap_watch = {0, n};
    const auto file = GgufFile::parse(std::move(bytes));
    const bool failed = heap_watch.failures_in < 0;
    heap_watch = {};
    if (!failed) {
      EXPECT_TRUE(file.has_value());
      EXPECT_GT(n, 20);
      break;
    }
    ASSERT_FALSE(file.has_value()) << n;
    ASSERT_EQ(file.error().code, ErrorCode::OutOfMemory) << n;
  }
}

// The fuzzer's seeds are these very cases. To write them anew after a change of the table, run this
// test with MINERVA_WRITE_CORPUS=1.
TEST(GgufHostile, TheCorpusHoldsEveryCase) {
  const std::filesystem::path folder =
      std::filesystem::path(MINERVA_SOURCE_DIR) / "fuzz" / "corpus" / "gguf";
  const bool write = std::getenv("MINERVA_WRITE_CORPUS") != nullptr;
  const auto check = [&](const std::string& name, const std::vector<std::byte>& bytes) {
    EXPECT_LT(bytes.size(), 4096u) << name;
    const auto path = folder / name;
    if (write) test::write_file(path, bytes);
    std::ifstream in(path, std::ios::binary);
    EXPECT_TRUE(in.good()) << path;
    const std::string kept((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(kept)), bytes)) << path;
  };
  for (const auto& honest : test::honest_gguf_cases()) check(honest.name, honest.bytes);
  for (const auto& hostile : test::hostile_gguf_cases()) check(hostile.name, hostile.bytes);
}

}  // namespace
}  // namespace minerva::formats
