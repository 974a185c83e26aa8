#include "backend/remote/replicas.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace minerva::backend {
namespace {

using std::chrono::seconds;

class ReplicasTest : public ::testing::Test {
 protected:
  ReplicasTest() {
    for (std::size_t i = 0; i < 3; ++i) replicas_.connected(i, true);
  }
  std::size_t choose(std::uint64_t prompt) {
    return replicas_.choose(prompt, none_, clock_.now()).value();
  }
  // So many failures, one after the other.
  void fail(std::size_t index, int times) {
    for (int i = 0; i < times; ++i) {
      replicas_.begun(index, clock_.now());
      replicas_.failed(index, clock_.now());
    }
  }

  FakeClock clock_;
  Replicas replicas_{{"a", "b", "c"}};
  const std::vector<bool> none_ = std::vector<bool>(3);
};

TEST_F(ReplicasTest, APromptStaysWithItsReplicaAndAllGetSome) {
  std::map<std::size_t, int> counts;
  for (std::uint64_t prompt = 0; prompt < 300; ++prompt) {
    const std::size_t first = choose(prompt);
    EXPECT_EQ(choose(prompt), first);
    ++counts[first];
  }
  ASSERT_EQ(counts.size(), 3U);
  for (const auto& [index, count] : counts) EXPECT_GT(count, 60);
}

TEST_F(ReplicasTest, WhenOneGoesOnlyItsPromptsMove) {
  std::vector<std::size_t> before;
  for (std::uint64_t prompt = 0; prompt < 100; ++prompt) before.push_back(choose(prompt));
  replicas_.connected(1, false);
  for (std::uint64_t prompt = 0; prompt < 100; ++prompt) {
    const std::size_t now = choose(prompt);
    if (before[prompt] != 1) {
      EXPECT_EQ(now, before[prompt]);
    }
    EXPECT_NE(now, 1U);
  }
}

TEST_F(ReplicasTest, OneThatIsMuchBusierIsPassedOver) {
  const std::size_t own = choose(7);
  for (std::size_t i = 0; i < Replicas::kBusierMax; ++i) replicas_.begun(own, clock_.now());
  EXPECT_EQ(choose(7), own);
  replicas_.begun(own, clock_.now());
  const std::size_t other = choose(7);
  EXPECT_NE(other, own);
  EXPECT_EQ(replicas_.running(other), 0U);
  replicas_.succeeded(own);
  EXPECT_EQ(choose(7), own);
}

TEST_F(ReplicasTest, OneThatFailsIsLeftAloneAndTriedOnceLater) {
  const std::size_t own = choose(7);
  fail(own, 2);
  EXPECT_NE(choose(7), own);
  clock_.advance(seconds(2));
  EXPECT_EQ(choose(7), own);  // half open
  replicas_.begun(own, clock_.now());
  EXPECT_NE(choose(7), own);  // one trial at a time
  replicas_.failed(own, clock_.now());
  clock_.advance(seconds(1));
  EXPECT_NE(choose(7), own);  // longer than the first time
  clock_.advance(seconds(2));
  replicas_.begun(own, clock_.now());
  replicas_.abandoned(own);   // its client left
  EXPECT_EQ(choose(7), own);  // another trial
  replicas_.begun(own, clock_.now());
  replicas_.succeeded(own);
  EXPECT_EQ(choose(7), own);
}

TEST_F(ReplicasTest, OneThatAsksToWaitIsNotAFailure) {
  const std::size_t own = choose(7);
  replicas_.begun(own, clock_.now());
  replicas_.asked_to_wait(own, clock_.now() + seconds(30));
  EXPECT_NE(choose(7), own);
  clock_.advance(seconds(29));
  EXPECT_NE(choose(7), own);
  clock_.advance(seconds(1));
  EXPECT_EQ(choose(7), own);
}

TEST_F(ReplicasTest, WithoutOneItSaysWhenToComeAgain) {
  for (std::size_t i = 0; i < 3; ++i) {
    replicas_.begun(i, clock_.now());
    replicas_.asked_to_wait(i, clock_.now() + seconds(10 * (static_cast<int>(i) + 1)));
  }
  EXPECT_FALSE(replicas_.choose(7, none_, clock_.now()));
  EXPECT_FALSE(replicas_.any_allowed(clock_.now()));
  EXPECT_EQ(replicas_.wait(clock_.now()), Duration(seconds(10)));
}

TEST_F(ReplicasTest, ThoseThatWereTriedAreNotTriedAgain) {
  std::vector<bool> tried(3);
  std::set<std::size_t> seen;
  for (int i = 0; i < 3; ++i) {
    const auto next = replicas_.choose(7, tried, clock_.now());
    ASSERT_TRUE(next);
    tried[*next] = true;
    seen.insert(*next);
  }
  EXPECT_EQ(seen.size(), 3U);
  EXPECT_FALSE(replicas_.choose(7, tried, clock_.now()));
}

TEST_F(ReplicasTest, OneThatIsAwayIsConnectedWhenItsBreakerLets) {
  EXPECT_FALSE(replicas_.to_connect(clock_.now()));
  replicas_.connected(2, false);
  EXPECT_EQ(replicas_.to_connect(clock_.now()), 2U);
  fail(2, 2);
  EXPECT_FALSE(replicas_.to_connect(clock_.now()));
  clock_.advance(seconds(2));
  EXPECT_EQ(replicas_.to_connect(clock_.now()), 2U);
}

TEST(PromptHashTest, IsOfTheBeginning) {
  const auto of = [](std::vector<PromptItem> prompt) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    return prompt_hash(request);
  };
  const std::string shared(2000, 'a');
  EXPECT_EQ(of({shared + "x"}), of({shared + "y"}));
  EXPECT_NE(of({std::string("x")}), of({std::string("y")}));
  EXPECT_NE(of({ChatPrompt{"[1]", ""}}), of({ChatPrompt{"[2]", ""}}));
  EXPECT_NE(of({std::vector<TokenId>{1}}), of({std::vector<TokenId>{2}}));
}

}  // namespace
}  // namespace minerva::backend
