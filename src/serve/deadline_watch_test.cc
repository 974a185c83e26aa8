#include "serve/deadline_watch.h"

#include <gtest/gtest.h>

#include <future>

namespace minerva::serve {
namespace {

using std::chrono::seconds;

TEST(DeadlineWatch, CallsInOrderAndNotBefore) {
  FakeClock clock;
  DeadlineWatch watch(clock);
  std::mutex mutex;
  std::string order;
  std::promise<void> done;
  const auto say = [&](char c) {
    const std::lock_guard lock(mutex);
    order += c;
    if (order.size() == 3) done.set_value();
  };
  watch.add(clock.now() + seconds(30), [&] { say('c'); });
  watch.add(clock.now() + seconds(10), [&] { say('a'); });
  watch.add(clock.now() + seconds(20), [&] { say('b'); });
  const auto removed = watch.add(clock.now() + seconds(15), [&] { say('x'); });
  watch.remove(removed);
  {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(order, "");
  }
  clock.advance(seconds(40));
  ASSERT_EQ(done.get_future().wait_for(seconds(60)), std::future_status::ready);
  EXPECT_EQ(order, "abc");
}

TEST(DeadlineWatch, ACallbackMayAddAndRemove) {
  FakeClock clock;
  DeadlineWatch watch(clock);
  std::promise<void> done;
  DeadlineWatch::Id other;
  other = watch.add(clock.now() + seconds(100), [] { FAIL(); });
  watch.add(clock.now(), [&] {
    watch.remove(other);
    watch.add(clock.now(), [&] { done.set_value(); });
  });
  EXPECT_EQ(done.get_future().wait_for(seconds(60)), std::future_status::ready);
  clock.advance(seconds(200));
}

TEST(DeadlineWatch, DropsWhatIsNotDueWhenItGoes) {
  FakeClock clock;
  DeadlineWatch watch(clock);
  watch.add(clock.now() + seconds(100), [] { FAIL(); });
}

}  // namespace
}  // namespace minerva::serve
