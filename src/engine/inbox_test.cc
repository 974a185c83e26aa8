#include "engine/inbox.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace minerva::engine {
namespace {

TEST(Inbox, HoldsSoManyUntilTheyLeave) {
  Inbox<int> inbox(2);
  EXPECT_TRUE(inbox.put(std::make_shared<int>(1)));
  EXPECT_TRUE(inbox.put(std::make_shared<int>(2)));
  const auto full = inbox.put(std::make_shared<int>(3));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::QueueFull);
  EXPECT_EQ(full.error().message, "2 requests are inside, and 2 may be; try again later");
  const auto taken = inbox.take();
  ASSERT_EQ(taken.requests.size(), 2U);
  EXPECT_EQ(*taken.requests[0], 1);
  EXPECT_FALSE(taken.stop);
  EXPECT_FALSE(inbox.put(std::make_shared<int>(3))) << "they are taken, not gone";
  inbox.leave(1);
  EXPECT_TRUE(inbox.put(std::make_shared<int>(3)));
  EXPECT_EQ(inbox.inside(), 2U);
}

TEST(Inbox, WhatCameBeforeTheStopIsTakenWithIt) {
  Inbox<int> inbox(8);
  EXPECT_TRUE(inbox.put(std::make_shared<int>(1)));
  inbox.stop();
  const auto late = inbox.put(std::make_shared<int>(2));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::Unavailable);
  inbox.wait(std::nullopt);  // a stop is news for ever
  const auto taken = inbox.take();
  EXPECT_EQ(taken.requests.size(), 1U);
  EXPECT_TRUE(taken.stop);
}

TEST(Inbox, NewsEndsAWait) {
  Inbox<int> inbox(8);
  std::atomic<int> seen{0};
  std::thread worker = start_worker("reader", inbox, [&] {
    while (true) {
      inbox.wait(std::nullopt);
      const auto taken = inbox.take();
      for (const auto& one : taken.requests) seen += *one;
      if (taken.stop) return;
    }
  });
  inbox.wake();
  EXPECT_TRUE(inbox.put(std::make_shared<int>(5)));
  EXPECT_TRUE(inbox.put(std::make_shared<int>(6)));
  inbox.stop();
  worker.join();
  EXPECT_EQ(seen, 11);
}

TEST(Inbox, ALoopThatThrowsIsStoppedAndEndsItsRequests) {
  Inbox<int> inbox(8);
  std::atomic<int> rounds{0};
  std::atomic<bool> told{false};
  std::thread worker = start_worker("worker", inbox, [&] {
    if (++rounds == 1) throw std::runtime_error("out of memory");
    told = inbox.take().stop;
  });
  worker.join();
  EXPECT_EQ(rounds, 2);
  EXPECT_TRUE(told);
  EXPECT_FALSE(inbox.put(std::make_shared<int>(1)));
}

}  // namespace
}  // namespace minerva::engine
