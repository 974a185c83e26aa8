#include "text/merge.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace minerva::text {
namespace {

using Ids = std::vector<TokenId>;
using Table = std::map<std::pair<TokenId, TokenId>, Merge>;

void fill(Merger& merger, const Ids& ids) {
  merger.symbols.clear();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    merger.symbols.push_back({static_cast<std::uint32_t>(i), 1, ids[i]});
  }
}

Ids ids_of(const Merger& merger) {
  Ids out;
  for (const Symbol& symbol : merger.symbols) out.push_back(symbol.id);
  return out;
}

auto look_up(const Table& table) {
  return [&table](const Symbol& left, const Symbol& right) {
    const auto found = table.find({left.id, right.id});
    return found == table.end() ? Merge{} : found->second;
  };
}

TEST(Merger, TheLowestRankFirstThenTheLeftmost) {
  const Table table = {{{1, 2}, {5, 12}}, {{2, 3}, {4, 23}}, {{1, 1}, {0, 11}}};
  Merger merger;
  fill(merger, {1, 2, 3});
  merger.merge(look_up(table));
  EXPECT_EQ(ids_of(merger), (Ids{1, 23}));
  fill(merger, {1, 1, 1});
  merger.merge(look_up(table));
  EXPECT_EQ(ids_of(merger), (Ids{11, 1}));
  EXPECT_EQ(merger.symbols[1].begin, 2u);
  fill(merger, {});
  merger.merge(look_up(table));
  EXPECT_TRUE(merger.symbols.empty());
}

// Ranks repeat on purpose: ties must go to the left in both.
TEST(Merger, ScanAndHeapAgree) {
  std::size_t merged = 0;
  for (std::uint64_t round = 0; round < 2000; ++round) {
    std::uint64_t position = 0;
    const auto pick = [&](double below) {
      return static_cast<int>(uniform(7, round, position++) * below);
    };
    Table table;
    for (int i = 0; i < 40; ++i) {
      const int left = pick(12);
      const int right = pick(12);
      table[{left, right}] = {static_cast<std::uint32_t>(pick(10)), pick(12)};
    }
    Ids ids;
    for (int i = pick(90); i > 0; --i) ids.push_back(pick(4));
    Merger scan;
    Merger heap;
    fill(scan, ids);
    fill(heap, ids);
    scan.merge_by_scan(look_up(table));
    heap.merge_by_heap(look_up(table));
    ASSERT_EQ(ids_of(scan), ids_of(heap)) << "round " << round;
    std::uint32_t end = 0;
    for (const Symbol& symbol : heap.symbols) {
      ASSERT_EQ(symbol.begin, end);
      end += symbol.length;
    }
    ASSERT_EQ(end, ids.size());
    merged += ids.size() - heap.symbols.size();
  }
  EXPECT_GT(merged, 10000u);
}

}  // namespace
}  // namespace minerva::text
