// What an engine says of vectors is checked before anybody believes it.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/child/engine_wire.h"

namespace minerva::backend {
namespace {

using ::testing::ElementsAre;

class PlainWire final : public EngineWire {
 public:
  std::string_view name() const override { return "plain"; }
  Capabilities capabilities(const WireModel&) const override { return {}; }
  Result<UpstreamRequest> generate_call(const WireRequest&, const WireModel&) const override {
    return UpstreamRequest{};
  }
  std::unique_ptr<ChunkReader> reader(const WireRequest&, const WireModel&) const override {
    return nullptr;
  }
};

std::string body(std::string_view data) {
  return fmt::format(R"({{"object":"list","data":[{}],"usage":{{"prompt_tokens":5}}}})", data);
}

TEST(WireVectors, ReadsNumbersAndBase64InAnyOrder) {
  const auto read = PlainWire().read_vectors(
      body(R"({"index":1,"embedding":"AACAPwAAIMA="},{"index":0,"embedding":[0.5,2,-1e-3]})"), 2);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->vectors[0], ElementsAre(0.5F, 2.0F, -1e-3F));
  EXPECT_THAT(read->vectors[1], ElementsAre(1.0F, -2.5F));
  EXPECT_EQ(read->prompt_tokens, 5U);
}

TEST(WireVectors, RefusesLies) {
  const PlainWire wire;
  const char* const kGood = R"({"index":0,"embedding":[1]})";
  EXPECT_TRUE(wire.read_vectors(body(kGood), 1));
  EXPECT_FALSE(wire.read_vectors(body(kGood), 2)) << "one is missing";
  EXPECT_FALSE(wire.read_vectors(body(fmt::format("{},{}", kGood, kGood)), 2)) << "twice";
  for (const char* lie :
       {R"({"index":1,"embedding":[1]})", R"({"index":-1,"embedding":[1]})",
        R"({"index":0,"embedding":[]})", R"({"index":0,"embedding":["1"]})",
        R"({"index":0,"embedding":"AAA"})", R"({"index":0,"embedding":"AAAA"})",
        R"({"index":0,"embedding":"AADAfw=="})", R"({"index":0,"embedding":[1e39]})",
        R"({"index":0})", R"({"embedding":[1]})", "7"}) {
    EXPECT_FALSE(wire.read_vectors(body(lie), 1)) << lie;
  }
  EXPECT_FALSE(wire.read_vectors("[]", 1));
  EXPECT_FALSE(wire.read_vectors("{", 1));
  EXPECT_EQ(wire.embed_call({}, {}).error().code, ErrorCode::Unsupported);
}

}  // namespace
}  // namespace minerva::backend
