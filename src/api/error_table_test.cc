#include "api/error_table.h"

#include <gtest/gtest.h>

#include <chrono>

#include "api/nearest.h"
#include "api/openai/error_answer.h"

namespace minerva::api {
namespace {

using openai::error_answer;

TEST(ErrorTable, EveryCodeHasItsRow) {
  EXPECT_EQ(error_table().size(), 14U);
  for (const ErrorRow& row : error_table()) {
    EXPECT_EQ(&error_row(row.code), &row);
    EXPECT_GE(row.status, 400U);
    EXPECT_FALSE(row.type.empty());
    EXPECT_NE(to_string(row.code), "");
  }
  EXPECT_EQ(error_row(ErrorCode::QueueFull).status, 429U);
  EXPECT_TRUE(error_row(ErrorCode::QueueFull).retryable);
  EXPECT_EQ(error_row(ErrorCode::ContextExceeded).error_code, "context_length_exceeded");
}

TEST(ErrorAnswer, HasOpenAisShape) {
  const ErrorAnswer bad = error_answer({ErrorCode::InvalidArgument, "a \"b\"\n", "top_p"});
  EXPECT_EQ(bad.status, 400U);
  EXPECT_EQ(bad.body, R"({"error":{"message":"a \"b\"\n","type":"invalid_request_error",)"
                      R"("param":"top_p","code":null}})");
  EXPECT_EQ(error_answer({ErrorCode::NotFound, "no model x", "model"}).body,
            R"({"error":{"message":"no model x","type":"invalid_request_error",)"
            R"("param":"model","code":"model_not_found"}})");
  EXPECT_EQ(error_answer({ErrorCode::NotFound, "no route"}).body,
            R"({"error":{"message":"no route","type":"invalid_request_error",)"
            R"("param":null,"code":"not_found"}})");
}

// security.md S09: no paths, no addresses, no tracebacks in what a client sees.
TEST(ErrorAnswer, FaultsDoNotTellAboutTheMachine) {
  const auto shown = [](std::string message, ErrorCode code = ErrorCode::Internal) {
    return client_message({code, std::move(message)});
  };
  EXPECT_EQ(shown("cannot open /home/me/models/a.gguf: no such file", ErrorCode::Io),
            "cannot open a.gguf: no such file");
  EXPECT_EQ(shown("'/a/b' and (/c/d) and \"/e\""), "'b' and (d) and \"e\"");
  EXPECT_EQ(shown("128/500 tokens, a/b"), "128/500 tokens, a/b");
  EXPECT_EQ(shown("object at 0x7ffe12345678, type 0x1f"), "object at 0x..., type 0x1f");
  EXPECT_EQ(shown("failed\nTraceback (most recent call last)"), "failed");
  EXPECT_EQ(shown(std::string(9000, 'x')).size(), 500U);
  EXPECT_EQ(shown("the route /v1/x", ErrorCode::NotFound), "the route /v1/x");
}

TEST(ErrorAnswer, SaysWhenToComeBack) {
  const auto seconds = [](ErrorCode code, std::chrono::milliseconds after) {
    Error error{code, "x"};
    error.retry_after = after;
    return openai::error_answer(error).retry_after_seconds;
  };
  using std::chrono::milliseconds;
  EXPECT_EQ(seconds(ErrorCode::Unavailable, milliseconds(0)), 1U);
  EXPECT_EQ(seconds(ErrorCode::Unavailable, milliseconds(1)), 1U);
  EXPECT_EQ(seconds(ErrorCode::QueueFull, milliseconds(4001)), 5U);
  EXPECT_EQ(seconds(ErrorCode::Unavailable, milliseconds::max()), 3600U);
  EXPECT_EQ(seconds(ErrorCode::Unavailable, milliseconds(-5)), 1U);
  EXPECT_EQ(seconds(ErrorCode::InvalidArgument, milliseconds(0)), 0U);
}

TEST(NearestName, FindsWhatWasMeant) {
  constexpr std::string_view kKnown[] = {"temperature", "top_p", "top_k", "stop", "n"};
  EXPECT_EQ(nearest_name("temprature", kKnown), "temperature");
  EXPECT_EQ(nearest_name("stops", kKnown), "stop");
  EXPECT_EQ(nearest_name("top_q", kKnown), "top_p");
  EXPECT_EQ(nearest_name("completely_else", kKnown), std::nullopt);
  EXPECT_EQ(nearest_name("", {}), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(100, 'x'), kKnown), std::nullopt);
}

}  // namespace
}  // namespace minerva::api
