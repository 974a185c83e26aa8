#include "engine/kv_cache.h"

#include <gtest/gtest.h>

namespace minerva::engine {
namespace {

ModelConfig config_with_windows(std::vector<std::size_t> windows) {
  ModelConfig config;
  config.kv_heads = 2;
  config.head_dim = 16;
  for (const std::size_t window : windows) config.layers.push_back({window, 0});
  return config;
}

std::unique_ptr<KvPool> pool_for(const ModelConfig& config, std::size_t positions,
                                 std::size_t sequences) {
  KvLayout layout(config);
  const std::uint64_t bytes = layout.bytes_for(positions) * sequences;
  return KvPool::create(std::move(layout), bytes, positions).value();
}

// As a step does.
void write(KvPool& pool, SequenceKv& kv, std::size_t count) {
  ASSERT_TRUE(pool.reserve(kv, count));
  kv.length += count;
}

TEST(KvLayout, LayersOfOneWindowShareAGroup) {
  const KvLayout layout(config_with_windows({64, 0, 64, 64}));
  ASSERT_EQ(layout.groups().size(), 2u);
  EXPECT_EQ(layout.groups()[0].layers, 3u);
  EXPECT_EQ(layout.group_of(3), 0u);
  EXPECT_EQ(layout.group_of(1), 1u);
  EXPECT_EQ(layout.groups()[1].page_bytes, 2u * 2 * 16 * kPage * 2);
  EXPECT_NE(layout.k_offset(0, 0), layout.k_offset(2, 0));
  EXPECT_EQ(layout.v_offset(0, 1) - layout.k_offset(0, 1), 16u * kPage);
}

TEST(KvPool, PagesComeAndGo) {
  const auto pool = pool_for(config_with_windows({0}), 128, 2);
  EXPECT_EQ(pool->total_pages(), 8u);
  SequenceKv kv = pool->make_sequence();
  write(*pool, kv, 33);
  EXPECT_EQ(pool->used_pages(), 2u);
  pool->truncate(kv, 32);
  EXPECT_EQ(pool->used_pages(), 1u);
  pool->release(kv);
  EXPECT_EQ(pool->used_pages(), 0u);
}

TEST(KvPool, MemoryThatWasUsedOnceStaysUsed) {
  const auto pool = pool_for(config_with_windows({0}), 128, 2);
  const std::uint64_t page = pool->layout().groups()[0].page_bytes;
  SequenceKv kv = pool->make_sequence();
  write(*pool, kv, 33);
  EXPECT_EQ(pool->touched_bytes(), 2 * page);
  pool->release(kv);
  EXPECT_EQ(pool->touched_bytes(), 2 * page);
  write(*pool, kv = pool->make_sequence(), 70);
  EXPECT_EQ(pool->touched_bytes(), 3 * page);
}

TEST(KvPool, ItGrowsBeyondOneSequenceOnlyWithLeave) {
  const auto pool = pool_for(config_with_windows({0}), 128, 2);
  const std::uint64_t page = pool->layout().groups()[0].page_bytes;
  std::vector<std::uint64_t> asked;
  bool leave = false;
  pool->grow_if([&](std::uint64_t bytes) { return asked.push_back(bytes), leave; }, 128);
  SequenceKv first = pool->make_sequence();
  write(*pool, first, 128);
  EXPECT_TRUE(asked.empty());
  SequenceKv second = pool->make_sequence();
  EXPECT_FALSE(pool->reserve(second, 33));
  EXPECT_EQ(pool->used_pages(), 4u);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_GE(asked[0], 2 * page);
  // What is free again needs none.
  pool->truncate(first, 64);
  write(*pool, second, 33);
  EXPECT_EQ(asked.size(), 1u);
  leave = true;
  write(*pool, second, 31 + 32);
  EXPECT_EQ(asked.size(), 2u);
  // It was allowed more than that.
  write(*pool, second, 32);
  EXPECT_EQ(asked.size(), 2u);
}

TEST(KvPool, ReserveThatDoesNotFitChangesNothing) {
  const auto pool = pool_for(config_with_windows({0, 64}), 64, 1);
  SequenceKv kv = pool->make_sequence();
  const std::size_t before = pool->used_pages();
  EXPECT_FALSE(pool->reserve(kv, 10'000));
  EXPECT_EQ(pool->used_pages(), before);
  EXPECT_TRUE(kv.tables[0].empty());
}

TEST(KvPool, ForkSharesUntilSomebodyWrites) {
  const auto pool = pool_for(config_with_windows({0}), 128, 2);
  SequenceKv a = pool->make_sequence();
  write(*pool, a, 40);
  pool->writable_page(0, a.tables[0][1])[0] = 77;
  SequenceKv b = pool->fork(a);
  EXPECT_EQ(pool->used_pages(), 2u);
  write(*pool, b, 1);
  EXPECT_EQ(pool->used_pages(), 3u);
  EXPECT_EQ(a.tables[0][0], b.tables[0][0]);
  EXPECT_NE(a.tables[0][1], b.tables[0][1]);
  EXPECT_EQ(pool->page(0, b.tables[0][1])[0], 77) << "the copy has what was written before";
  pool->release(a);
  EXPECT_EQ(pool->used_pages(), 2u);
  pool->release(b);
  EXPECT_EQ(pool->used_pages(), 0u);
}

TEST(KvPool, ForkAtAPageBorderCopiesNothing) {
  const auto pool = pool_for(config_with_windows({0}), 128, 2);
  SequenceKv a = pool->make_sequence();
  write(*pool, a, 64);
  SequenceKv b = pool->fork(a);
  write(*pool, b, 1);
  EXPECT_EQ(pool->used_pages(), 3u);
}

TEST(KvPool, WindowsGiveBackWhatNobodySees) {
  const auto pool = pool_for(config_with_windows({64, 0}), 1024, 1);
  SequenceKv kv = pool->make_sequence();
  for (int i = 0; i < 512; ++i) {
    write(*pool, kv, 1);
    pool->drop_out_of_sight(kv);
  }
  // The next token, 512, sees 449 to 512: pages 14 and 15 of the windowed group.
  EXPECT_EQ(kv.tables[0][13], kNoPage);
  EXPECT_NE(kv.tables[0][14], kNoPage);
  EXPECT_EQ(pool->used_pages(), 2u + 16u);
  pool->release(kv);
  EXPECT_EQ(pool->used_pages(), 0u);
}

TEST(KvPool, AnExactSequenceHasEachPageTwice) {
  const auto pool = pool_for(config_with_windows({64, 0}), 1280, 2);
  EXPECT_TRUE(pool->can_ever_hold(1280, true));
  SequenceKv kv = pool->make_sequence(true);
  EXPECT_TRUE(pool->is_exact(kv));
  EXPECT_FALSE(pool->is_exact(pool->make_sequence()));
  ASSERT_EQ(kv.tables.size(), 4U);
  write(*pool, kv, 40);
  EXPECT_EQ(pool->used_pages(), 8U);
  for (std::size_t g = 0; g < 2; ++g) EXPECT_NE(kv.tables[g][0], kv.tables[g + 2][0]);
  SequenceKv fork = pool->fork(kv);
  write(*pool, fork, 1);
  EXPECT_EQ(pool->used_pages(), 12U) << "a copy of each page that is written to";
  pool->release(fork);
  write(*pool, kv, 400);
  pool->drop_out_of_sight(kv);
  EXPECT_EQ(kv.tables[0][0], kNoPage);
  EXPECT_EQ(kv.tables[2][0], kNoPage);
  pool->release(kv);
  EXPECT_EQ(pool->used_pages(), 0U);
}

TEST(KvPool, SaysHowLongAnExactSequenceMayBe) {
  EXPECT_EQ(pool_for(config_with_windows({0}), 1280, 2)->longest_exact(1280), 1280U);
  const auto pool = pool_for(config_with_windows({0}), 1280, 1);
  EXPECT_EQ(pool->longest_exact(1280), 640U);
  EXPECT_EQ(pool->longest_exact(100), 100U);
  SequenceKv kv = pool->make_sequence(true);
  EXPECT_FALSE(pool->reserve(kv, 641));
  EXPECT_EQ(pool->used_pages(), 0U);
  write(*pool, kv, 640);
  EXPECT_EQ(pool->used_pages(), 40U);
}

TEST(KvPool, PoisonShowsAUseAfterRelease) {
  const auto pool = pool_for(config_with_windows({0}), 64, 1);
  pool->poison_freed_pages(true);
  SequenceKv kv = pool->make_sequence();
  write(*pool, kv, 1);
  const PageId id = kv.tables[0][0];
  pool->writable_page(0, id)[0] = 1;
  pool->release(kv);
  EXPECT_EQ(pool->page(0, id)[0], 0xffff);  // a NaN
}

// Two layers with states of 32 + 2 x 16 x 16 floats, and one that attends.
ModelConfig config_with_states() {
  ModelConfig config = config_with_windows({0, 0, 0});
  config.delta = {.key_heads = 1, .value_heads = 2, .key_dim = 16, .value_dim = 16, .taps = 2};
  config.layers[0].delta = config.layers[2].delta = true;
  return config;
}
constexpr std::size_t kStateFloats = 64 + 2 * 16 * 16;

TEST(KvLayout, StatesAreOnePageWhateverTheLength) {
  const KvLayout layout(config_with_states());
  ASSERT_TRUE(layout.has_states());
  const std::size_t states = layout.state_group();
  EXPECT_EQ(layout.group_of(0), states);
  EXPECT_NE(layout.group_of(1), states);
  EXPECT_EQ(layout.groups()[states].page_bytes, 2 * kStateFloats * sizeof(float));
  EXPECT_EQ(layout.state_offset(2) - layout.state_offset(0), kStateFloats);
  EXPECT_EQ(layout.pages_for(states, 0), 0u);
  EXPECT_EQ(layout.pages_for(states, 1), 1u);
  EXPECT_EQ(layout.pages_for(states, 1'000'000), 1u);
  EXPECT_EQ(layout.bytes_for(64) - layout.bytes_for(32), layout.groups()[1 - states].page_bytes);
  EXPECT_FALSE(KvLayout(config_with_windows({0})).has_states());
}

TEST(KvPool, AStateBeginsAtZeroAndIsCopiedForAFork) {
  const auto pool = pool_for(config_with_states(), 64, 3);
  pool->poison_freed_pages(true);
  SequenceKv a = pool->make_sequence();
  for (int round = 0; round < 2; ++round) {  // the second time on a page that was poisoned
    write(*pool, a, 1);
    for (std::size_t i = 0; i < 2 * kStateFloats; ++i) ASSERT_EQ(pool->states(a)[i], 0.0F);
    pool->states(a)[5] = 7;
    if (round == 0) pool->release(a);
  }
  EXPECT_EQ(pool->used_pages(), 2u);
  SequenceKv b = pool->fork(a);
  EXPECT_EQ(pool->used_pages(), 2u);
  write(*pool, b, 1);
  EXPECT_EQ(pool->states(b)[5], 7);
  pool->states(b)[5] = 9;
  write(*pool, a, 1);
  EXPECT_EQ(pool->states(a)[5], 7);
  pool->release(a);
  pool->release(b);
  EXPECT_EQ(pool->used_pages(), 0u);
}

TEST(KvPool, AStateCannotGoBack) {
  const auto pool = pool_for(config_with_states(), 64, 1);
  SequenceKv kv = pool->make_sequence();
  write(*pool, kv, 40);
  pool->truncate(kv, 40);
  EXPECT_EQ(kv.length, 40u);
  EXPECT_EQ(pool->used_pages(), 3u);
  pool->truncate(kv, 39);
  EXPECT_EQ(kv.length, 0u);
  EXPECT_EQ(pool->used_pages(), 0u);
}

TEST(KvPool, ThereAreMoreStatesThanFullSequences) {
  KvLayout layout(config_with_states());
  const std::uint64_t one = layout.bytes_for(4096);
  const std::uint64_t state = layout.groups()[layout.state_group()].page_bytes;
  for (const std::uint64_t budget : {one, one + 3 * state, 2 * one, 9 * one}) {
    const auto pool = KvPool::create(layout, budget, 4096).value();
    EXPECT_TRUE(pool->can_ever_hold(4096));
    std::vector<SequenceKv> kept;
    for (;;) {
      SequenceKv kv = pool->make_sequence();
      if (!pool->reserve(kv, 1)) break;
      kv.length = 1;
      kept.push_back(std::move(kv));
    }
    EXPECT_EQ(kept.size(), budget < 2 * one ? 1 + (budget - one) / state : 32u);
    const std::uint64_t page = layout.groups()[1 - layout.state_group()].page_bytes;
    EXPECT_LE(kept.size() * state + (pool->total_pages() - kept.size()) * page, budget);
    for (SequenceKv& kv : kept) pool->release(kv);
    SequenceKv full = pool->make_sequence();
    EXPECT_TRUE(pool->reserve(full, 4096));
  }
}

TEST(KvPool, SaysWhatAContextNeeds) {
  KvLayout layout(config_with_windows({0}));
  const auto refused = KvPool::create(layout, 1000, 1 << 20);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::OutOfMemory);
  EXPECT_NE(refused.error().message.find("1048576"), std::string::npos);
}

}  // namespace
}  // namespace minerva::engine
