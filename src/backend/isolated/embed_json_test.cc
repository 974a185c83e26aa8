#include "backend/isolated/embed_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "backend/isolated/isolated_wire.h"

namespace minerva::backend {
namespace {

TEST(EmbedJson, InputsComeBackAsTheyWere) {
  const std::vector<EmbedInput> inputs = {std::string("x\n\u00e9"), std::vector<TokenId>{1, 70000},
                                          std::vector<TokenId>{}};
  const auto json = embed_json(inputs);
  ASSERT_TRUE(json) << json.error().message;
  const auto back = parse_embed_json(*json);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->inputs, inputs);
  EXPECT_FALSE(embed_json(std::vector<EmbedInput>{std::string("\xff")}));
  for (const char* bad : {"{}", "[]", R"({"inputs":1})", R"({"inputs":[1]})",
                          R"({"inputs":[["a"]]})", R"({"inputs":[[1.5]]})"}) {
    EXPECT_FALSE(parse_embed_json(bad)) << bad;
  }
}

TEST(EmbedJson, EveryBitOfAVectorComesThrough) {
  const std::vector<float> values = {0.1F, -0.0F, 1e-45F, std::numeric_limits<float>::max()};
  GatheredVectors gathered(2);
  gathered.take({1, values});
  gathered.take({0, {7}});
  gathered.take({2, {8}});  // nobody asked for it
  EndEvent end;
  end.usage.prompt_tokens = 9;
  const auto body = gathered.finish(end);
  ASSERT_TRUE(body);
  const auto read = IsolatedWire().read_vectors(*body, 2);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->vectors[1], values);
  EXPECT_TRUE(std::signbit(read->vectors[1][1]));
  EXPECT_EQ(read->prompt_tokens, 9U);

  end.outcome = EndEvent::Outcome::Failed;
  end.error = Error{ErrorCode::Timeout, "late"};
  EXPECT_EQ(gathered.finish(end).error().code, ErrorCode::Timeout);
}

}  // namespace
}  // namespace minerva::backend
