#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "backend/child/engine_wire.h"

namespace minerva::backend {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Error read(unsigned status, std::string body, std::vector<wire::Field> fields = {}) {
  UpstreamEnd end;
  end.status = status;
  end.body = std::move(body);
  end.fields = std::move(fields);
  return read_refusal("engine", end);
}

TEST(Refusal, EveryShapeOfAnError) {
  EXPECT_EQ(read(400, R"({"error":"bad thing"})").message, "bad thing");
  EXPECT_EQ(read(400, R"({"error":{"message":"bad thing","type":"x","code":400}})").message,
            "bad thing");
  EXPECT_EQ(read(422, R"({"detail":"bad thing"})").message, "bad thing");
  EXPECT_EQ(read(422, R"({"detail":[{"loc":["body"],"msg":"bad thing","type":"x"}]})").message,
            "bad thing");
  EXPECT_EQ(read(400, R"({"message":"bad thing","type":"x","code":400})").message, "bad thing");
  for (const char* body : {"", "Not Found", "[]", "{", R"({"error":7})", R"({"detail":[7]})"}) {
    EXPECT_EQ(read(404, body).message, "the engine answered with status 404") << body;
  }
  EXPECT_EQ(read(400, "{}").origin, "engine");
}

TEST(Refusal, CodesSayWhoIsToBlame) {
  EXPECT_EQ(read(400, "{}").code, ErrorCode::InvalidArgument);
  EXPECT_EQ(read(422, "{}").code, ErrorCode::InvalidArgument);
  EXPECT_EQ(read(413, "{}").code, ErrorCode::TooLarge);
  EXPECT_EQ(read(501, "{}").code, ErrorCode::Unsupported);
  for (const unsigned status : {302U, 401U, 403U, 404U, 500U, 502U, 503U}) {
    EXPECT_EQ(read(status, "{}").code, ErrorCode::Unavailable) << status;
  }
  EXPECT_EQ(
      read(400, R"({"error":{"message":"too long","type":"exceed_context_size_error"}})").code,
      ErrorCode::ContextExceeded);
  EXPECT_EQ(read(400, R"({"error":{"message":"maximum context length is 5"}})").code,
            ErrorCode::ContextExceeded);
}

TEST(Refusal, RetryAfterIsKeptAndBounded) {
  EXPECT_EQ(read(429, "{}", {{"retry-after", "7"}}).code, ErrorCode::QueueFull);
  EXPECT_EQ(read(429, "{}", {{"retry-after", "7"}}).retry_after, std::chrono::seconds(7));
  EXPECT_EQ(read(503, "{}", {{"retry-after", "9999999"}}).retry_after, std::chrono::hours(1));
  EXPECT_EQ(read(503, "{}", {{"retry-after", "soon"}}).retry_after, std::chrono::seconds(0));
  EXPECT_EQ(read(400, "{}", {{"retry-after", "7"}}).retry_after, std::chrono::seconds(0));
}

TEST(Refusal, AMessageTellsNothingOfTheMachine) {
  EXPECT_EQ(cleaned_message("cannot open /home/a/b.gguf: no"), "cannot open (…) no");
  EXPECT_EQ(cleaned_message("see http://10.0.0.1/x and 'C:\\models\\x' or ~/x"),
            "see (…) and (…) or (…)");
  EXPECT_EQ(cleaned_message("at 10.1.2.3:8080, version 1.2.3"), "at (…) version 1.2.3");
  EXPECT_EQ(cleaned_message("file=/etc/passwd"), "(…)");
  EXPECT_EQ(cleaned_message("Traceback (most recent call last):\n  File \"/x/y.py\", line 1\n"
                            "ValueError: bad top_k\n"),
            "ValueError: bad top_k");
  EXPECT_EQ(cleaned_message("first\nsecond"), "first");
  EXPECT_THAT(cleaned_message("a\x1b[31mb\xff"), Not(HasSubstr("\x1b")));
  EXPECT_LE(cleaned_message(std::string(5000, 'x')).size(), 310U);
  EXPECT_EQ(cleaned_message("a / b is 0 <= x"), "a / b is 0 <= x");
}

}  // namespace
}  // namespace minerva::backend
