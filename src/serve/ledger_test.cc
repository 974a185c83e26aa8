#include "serve/ledger.h"

#include <gtest/gtest.h>

namespace minerva::serve {
namespace {

TEST(Ledger, CountsRefusesAndCloses) {
  NoMetrics metrics;
  const auto ledger = std::make_shared<Ledger>(2, metrics);
  auto first = ledger->enter();
  auto second = ledger->enter();
  ASSERT_TRUE(first && second);
  (*first)->now_runs();
  (*first)->now_runs();
  EXPECT_EQ(ledger->active(), 2U);
  const auto third = ledger->enter();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::QueueFull);
  EXPECT_EQ(third.error().message,
            "1 requests are running and 1 are waiting, and 2 is the limit: try again later");
  first->reset();
  EXPECT_TRUE(ledger->enter());
  EXPECT_EQ(ledger->active(), 1U);
  ledger->close();
  EXPECT_EQ(ledger->enter().error().code, ErrorCode::Unavailable);
  second->reset();
  EXPECT_EQ(ledger->active(), 0U);
}

}  // namespace
}  // namespace minerva::serve
