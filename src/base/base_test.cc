#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <span>
#include <string>

#include "base/bounded_queue.h"
#include "base/checked.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/system.h"
#include "base/utf8.h"

namespace minerva {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(ErrorCode::InvalidArgument, "odd", "n");
  return n / 2;
}
Result<int> quarter(int n) {
  MINERVA_ASSIGN(const int h, half(n));
  MINERVA_TRY(half(h));
  return h / 2;
}

TEST(Result, TryPassesTheErrorOn) {
  EXPECT_EQ(quarter(8).value(), 2);
  ASSERT_FALSE(quarter(6).has_value());
  EXPECT_EQ(quarter(6).error().param, "n");
}

TEST(Checked, NeverWraps) {
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  EXPECT_FALSE(checked_add(kMax, std::uint64_t{1}));
  EXPECT_FALSE(checked_mul(kMax, std::uint64_t{2}));
  EXPECT_FALSE(checked_align_up(kMax - 3, 32));
  EXPECT_EQ(checked_align_up(33, 32), 64u);
  EXPECT_TRUE(in_bounds(4, 4, 8));
  EXPECT_FALSE(in_bounds(5, 4, 8));
  EXPECT_FALSE(in_bounds(kMax, 2, 8));
  EXPECT_FALSE(checked_cast<int>(std::uint64_t{1} << 31));
}

// Known answers of Philox 4x32-10 from the paper's reference (Random123, kat_vectors).
TEST(Rng, PhiloxKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t f = 0xffffffff;
  EXPECT_EQ(philox4x32({f, f, f, f}, {f, f}),
            (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Rng, UniformDependsOnEveryArgument) {
  std::set<double> seen;
  for (std::uint64_t i = 0; i < 8; ++i) {
    seen.insert(uniform(i, 1, 2));
    seen.insert(uniform(1, i + 10, 2));
    seen.insert(uniform(1, 1, i + 10));
  }
  EXPECT_EQ(seen.size(), 24u);
  EXPECT_GE(*seen.begin(), 0.0);
  EXPECT_LT(*seen.rbegin(), 1.0);
}

TEST(Utf8, RefusesWhatIsNotACharacter) {
  for (const char* bad : {"\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
                          "\x80", "\xe2\x82"}) {
    EXPECT_FALSE(utf8_valid(bad)) << escape_controls(bad);
  }
  EXPECT_TRUE(utf8_valid("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
  EXPECT_EQ(utf8_first_invalid("ab\xff"), 2u);
}

TEST(Utf8, IncompleteSuffix) {
  const std::string smile = "\xf0\x9f\x98\x80";
  for (std::size_t cut = 0; cut < 4; ++cut) {
    EXPECT_EQ(utf8_incomplete_suffix("x" + smile.substr(0, cut)), cut);
  }
  EXPECT_EQ(utf8_incomplete_suffix("x" + smile), 0u);
  EXPECT_EQ(utf8_incomplete_suffix("x\xff"), 0u);
  EXPECT_EQ(utf8_incomplete_suffix("\xe0\x80"), 0u);  // can never become a character
}

TEST(Utf8, AppendIsTheInverseOfNext) {
  for (const char32_t c : {U'a', U'\u00e9', U'\u20ac', U'\U0001f600', U'\U0010ffff'}) {
    std::string text;
    utf8_append(text, c);
    const Utf8Char read = utf8_next(text);
    EXPECT_TRUE(read.valid);
    EXPECT_EQ(read.code_point, c);
    EXPECT_EQ(read.length, text.size());
  }
}

TEST(Log, EscapesWhatCouldForgeALine) {
  EXPECT_EQ(escape_controls("a\n\x1b[2J\xe2\x80\xae\xff"), "a\\x0a\\x1b[2J\\u{202e}\\xff");
  EXPECT_EQ(escape_controls("a\nb", true), "a\nb");
}

TEST(BoundedQueue, RefusesWhenFullAndDrainsAfterClose) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_TRUE(queue.try_push(2));
  EXPECT_FALSE(queue.try_push(3));
  queue.close();
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_FALSE(queue.try_push(4));
  EXPECT_EQ(queue.pop_for(std::chrono::seconds(1)), 2);
  EXPECT_EQ(queue.pop_for(std::chrono::seconds(1)), std::nullopt);
}

TEST(MappedFile, NamesWhatIsWrong) {
  EXPECT_EQ(MappedFile::open("/nonexistent/file").error().code, ErrorCode::NotFound);
  EXPECT_EQ(MappedFile::open("/tmp").error().code, ErrorCode::Io);
  EXPECT_GT(MappedFile::open("/proc/self/exe").value()->bytes().size(), 1000u);
}

TEST(MappedFile, ForgottenBytesTakeNoMemoryAndAreReadAgain) {
  const std::string path = testing::TempDir() + "forgotten" + std::to_string(random_seed());
  constexpr std::size_t kSize = std::size_t{16} << 20;
  std::ofstream(path) << std::string(kSize, 'x');
  const auto file = MappedFile::open(path).value();
  const auto read_all = [&] {
    return std::ranges::count(file->bytes(), std::byte{'x'}) == std::ptrdiff_t{kSize};
  };
  EXPECT_TRUE(read_all());
  const std::uint64_t before = proportional_bytes().files;
  file->forget(file->bytes().subspan(100, kSize - 100));
  EXPECT_LE(proportional_bytes().files + kSize / 2, before);
  file->forget(std::as_bytes(std::span(path)));  // not of this file: nothing happens
  EXPECT_TRUE(read_all());
  EXPECT_TRUE(file->intact());
  std::filesystem::remove(path);
}

TEST(MappedFile, AFileCutShortReadsAsZerosAndSaysSo) {
  const std::string path = testing::TempDir() + "cut_short" + std::to_string(random_seed());
  std::ofstream(path) << std::string(3 * 65'536, 'x');
  const auto file = MappedFile::open(path).value();
  const auto whole = MappedFile::open(path).value();
  EXPECT_EQ(file->bytes()[2 * 65'536], std::byte{'x'});
  std::filesystem::resize_file(path, 65'536);
  EXPECT_TRUE(file->intact()) << "nobody has read there yet";
  EXPECT_EQ(file->bytes()[2 * 65'536], std::byte{0});
  EXPECT_FALSE(file->intact());
  EXPECT_TRUE(whole->intact());
  EXPECT_EQ(file->bytes()[100], std::byte{'x'});
  std::filesystem::remove(path);
}

TEST(System, ReadsTheMachine) {
  EXPECT_GE(available_cpus(), 1u);
  EXPECT_GT(memory_info().total_bytes, memory_info().available_bytes);
  EXPECT_GT(resident_bytes(), 0u);
  const auto files = raise_open_file_limit(1);
  EXPECT_GT(files, 1u) << "never lowered";
  EXPECT_EQ(raise_open_file_limit(files), files);
}

}  // namespace
}  // namespace minerva
