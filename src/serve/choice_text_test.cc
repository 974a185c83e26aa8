#include "serve/choice_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace minerva::serve {
namespace {

backend::TokenEvent token(std::string bytes) {
  backend::TokenEvent event;
  event.bytes = std::move(bytes);
  event.logprob = -1.0F;
  return event;
}

struct Seen {
  std::string text;
  std::vector<std::string> pieces;  // each delta's
  std::string token_bytes;          // of the tokens given back
  std::vector<std::size_t> token_counts;
};

Seen feed(ChoiceText& choice, const std::vector<std::string>& tokens, bool finish = true) {
  Seen seen;
  const auto take = [&](std::optional<TextDelta> delta) {
    if (!delta) return;
    seen.text += delta->text;
    seen.pieces.push_back(delta->text);
    seen.token_counts.push_back(delta->tokens.size());
    for (const auto& given : delta->tokens) seen.token_bytes += given.bytes;
  };
  for (const std::string& bytes : tokens) take(choice.push(token(bytes)));
  if (finish) take(choice.finish(true));
  return seen;
}

TEST(ChoiceText, TextIsGivenAsSoonAsItIsSure) {
  ChoiceText choice(2, {"STOP"}, true);
  EXPECT_EQ(choice.push(token("ab"))->text, "ab");
  EXPECT_FALSE(choice.push(token("S")));
  EXPECT_FALSE(choice.push(token("TO")));
  const auto delta = choice.push(token("x"));
  ASSERT_TRUE(delta);
  EXPECT_EQ(delta->choice, 2U);
  EXPECT_EQ(delta->text, "STOx");
  EXPECT_EQ(delta->tokens.size(), 3U);
  EXPECT_FALSE(choice.stopped());
}

TEST(ChoiceText, AStopStringWhereverItIsCut) {
  const std::string text = "héllo STOP more";
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    for (std::size_t second = cut; second < text.size(); ++second) {
      ChoiceText choice(0, {"nope", "STOP"}, true);
      const Seen seen =
          feed(choice, {text.substr(0, cut), text.substr(cut, second - cut), text.substr(second)});
      EXPECT_EQ(seen.text, "héllo ");
      EXPECT_EQ(choice.stopped(), "STOP");
      // Only tokens of which something is seen.
      EXPECT_TRUE(seen.token_bytes.starts_with("héllo"));
    }
  }
}

TEST(ChoiceText, ByteByByteLogprobsAreThoseOfTheTextThatIsSeen) {
  std::vector<std::string> bytes;
  for (const char c : std::string("a😀STOPb")) bytes.emplace_back(1, c);
  ChoiceText choice(0, {"STOP"}, true);
  const Seen seen = feed(choice, bytes);
  EXPECT_EQ(seen.text, "a😀");
  EXPECT_EQ(seen.token_bytes, "a😀");
  EXPECT_EQ(seen.pieces, (std::vector<std::string>{"a", "😀"}));
  EXPECT_EQ(seen.token_counts, (std::vector<std::size_t>{1, 4}));
  EXPECT_EQ(choice.tokens(), 9U);  // up to the P
}

TEST(ChoiceText, NothingIsLostAtTheEnd) {
  ChoiceText held(0, {"STOP"}, true);
  const Seen seen = feed(held, {"ab", "ST"});
  EXPECT_EQ(seen.text, "abST");
  EXPECT_EQ(seen.token_bytes, "abST");

  ChoiceText broken(0, {}, true);
  const Seen tail = feed(broken, {"a", "\xf0\x9f"});
  EXPECT_EQ(tail.text, "a\ufffd\ufffd");
  EXPECT_EQ(tail.token_bytes, "a\xf0\x9f");

  // An answer that was cut off may be continued: its broken character is not given.
  ChoiceText cut(0, {"STOP"}, false);
  feed(cut, {"aST", "O"}, /*finish=*/false);
  EXPECT_EQ(cut.finish(false)->text, "STO");
  ChoiceText open(0, {}, false);
  feed(open, {"\xf0\x9f"}, /*finish=*/false);
  EXPECT_FALSE(open.finish(false));
}

TEST(ChoiceText, TokensWithoutTextAndTextThatIsNotUtf8) {
  ChoiceText choice(0, {}, true);
  const Seen seen = feed(choice, {"", "a", "\xff", "", "b"});
  EXPECT_EQ(seen.text, "a\ufffdb");
  std::size_t tokens = 0;
  for (const std::size_t count : seen.token_counts) tokens += count;
  EXPECT_EQ(tokens, 5U);

  ChoiceText plain(0, {}, false);
  EXPECT_FALSE(plain.push(token("")));
  EXPECT_TRUE(plain.push(token("a"))->tokens.empty());
}

}  // namespace
}  // namespace minerva::serve
