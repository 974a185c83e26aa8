#include "backend/isolated/event_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace minerva::backend {
namespace {

using ::testing::HasSubstr;

constexpr EventBounds kBounds{.vocabulary = 1000, .choices = 4, .top_max = 3};

std::string json(const GenerationEvent& event) {
  std::string out;
  append_event_json(out, event);
  return out;
}

template <class T>
T there_and_back(const T& event) {
  const auto back = parse_event_json(json(event), kBounds);
  EXPECT_TRUE(back) << back.error().message << " in " << json(event);
  return back ? std::get<T>(*back) : T{};
}

TEST(EventJsonTest, TokensKeepTheirBytesAndEveryBit) {
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte.push_back(static_cast<char>(i));
  for (const std::string& bytes : {std::string(), every_byte, std::string("\xE2\x82", 2)}) {
    for (const float logprob : {-0.0F, -1e-45F, -0.1F, std::nextafterf(-3.0F, 0.0F), -88.72284F,
                                -std::numeric_limits<float>::infinity()}) {
      const TokenEvent got = there_and_back(
          TokenEvent{3, 999, bytes, logprob, {{0, bytes, logprob}, {999, "x", -2.0F / 3.0F}}});
      EXPECT_EQ(got.choice, 3U);
      EXPECT_EQ(got.id, 999);
      EXPECT_EQ(got.bytes, bytes);
      ASSERT_TRUE(got.logprob);
      EXPECT_EQ(std::signbit(*got.logprob), std::signbit(logprob));
      EXPECT_EQ(*got.logprob, logprob);
      ASSERT_EQ(got.top.size(), 2U);
      EXPECT_EQ(got.top[0].bytes, bytes);
      EXPECT_EQ(got.top[0].logprob, logprob);
      EXPECT_EQ(got.top[1].id, 999);
      EXPECT_EQ(got.top[1].logprob, -2.0F / 3.0F);
    }
  }
  EXPECT_FALSE(there_and_back(TokenEvent{0, 1, "a", std::nullopt, {}}).logprob);
}

TEST(EventJsonTest, ProgressAndEnds) {
  const auto progress =
      there_and_back(ProgressEvent{ProgressEvent::Phase::Prefill, 3, 1ULL << 40U, 2});
  EXPECT_EQ(progress.phase, ProgressEvent::Phase::Prefill);
  EXPECT_EQ(progress.total, 1ULL << 40U);
  EXPECT_EQ(progress.cached, 2U);
  const auto choice = there_and_back(ChoiceEndEvent{2, FinishReason::Length});
  EXPECT_EQ(choice.choice, 2U);
  EXPECT_EQ(choice.reason, FinishReason::Length);

  EndEvent end;
  end.outcome = EndEvent::Outcome::Failed;
  end.error = Error{ErrorCode::Timeout, "took \"too\" long\n", "deadline", "native",
                    std::chrono::milliseconds(1500)};
  end.usage = {10, 4, 6};
  end.timings = {Duration(1), Duration(2), Duration(3)};
  end.seed = std::numeric_limits<std::uint64_t>::max();
  const auto got = there_and_back(end);
  EXPECT_EQ(got.outcome, EndEvent::Outcome::Failed);
  ASSERT_TRUE(got.error);
  EXPECT_EQ(got.error->code, ErrorCode::Timeout);
  EXPECT_EQ(got.error->message, end.error->message);
  EXPECT_EQ(got.error->param, "deadline");
  EXPECT_EQ(got.error->retry_after, end.error->retry_after);
  EXPECT_EQ(got.usage.cached_tokens, 4U);
  EXPECT_EQ(got.usage.completion_tokens, 6U);
  EXPECT_EQ(got.timings.decode, Duration(3));
  EXPECT_EQ(got.seed, end.seed);
}

TEST(EventJsonTest, EveryErrorCodeHasItsWord) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::Internal); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    const auto value = wire::parse_json(error_json({code, "m"}));
    ASSERT_TRUE(value);
    EXPECT_EQ(parse_error(*value).code, code);
  }
}

TEST(EventJsonTest, LiesAreErrors) {
  const std::vector<std::string> lies = {
      R"({"token":1000,"choice":0,"bytes":""})",
      R"({"token":-1,"choice":0,"bytes":""})",
      R"({"token":"1","choice":0,"bytes":""})",
      R"({"token":1,"choice":4,"bytes":""})",
      R"({"token":1,"choice":0})",
      R"({"token":1,"choice":0,"bytes":"6"})",
      R"({"token":1,"choice":0,"bytes":"zz"})",
      R"({"token":1,"choice":0,"bytes":"61","logprob":-1})",
      R"({"token":1,"choice":0,"bytes":"61","logprob":"x","top":[]})",
      R"({"token":1,"choice":0,"bytes":"61","logprob":-1,)"
      R"("top":[[1,"61",0],[1,"61",0],[1,"61",0],[1,"61",0]]})",
      R"({"token":1,"choice":0,"bytes":"61","logprob":-1,"top":[[1000,"61",0]]})",
      R"({"choice_end":0,"reason":"because"})",
      R"({"choice_end":9,"reason":"stop"})",
      R"({"end":"maybe"})",
      R"({"end":"done","usage":[1,2],"timings_ns":[0,0,0],"seed":0})",
      R"({"end":"done","usage":[1,2,-3],"timings_ns":[0,0,0],"seed":0})",
      R"({"end":"failed","usage":[1,2,3],"timings_ns":[0,0,0],"seed":0})",
      R"({"progress":"prefill","done":1e300,"total":1,"cached":0})",
      R"({})",
      R"([])",
      R"({"token":)",
      "",
      "[DONE]",
  };
  for (const std::string& lie : lies) EXPECT_FALSE(parse_event_json(lie, kBounds)) << lie;
}

TEST(EventJsonTest, AnErrorThatCannotBeReadIsStillOne) {
  for (const char* text : {"null", "[]", "{}", R"({"code":"nonsense","message":7})"}) {
    const Error error = parse_error(*wire::parse_json(text));
    EXPECT_EQ(error.code, ErrorCode::Internal);
    EXPECT_THAT(error.message, HasSubstr("error"));
  }
}

}  // namespace
}  // namespace minerva::backend
