#include "chat/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace minerva::chat {
namespace {

struct Outcome {
  std::string shown;
  std::optional<std::size_t> stop;
  bool operator==(const Outcome&) const = default;
};

// By definition, without cleverness: the least end, then the longest, then the first given.
Outcome naive(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < stops.size(); ++i) {
      if (stops[i].empty() || !text.substr(0, end).ends_with(stops[i])) continue;
      if (!best || stops[i].size() > stops[*best].size()) best = i;
    }
    if (best) return {text.substr(0, end - stops[*best].size()), best};
  }
  return {text, {}};
}

Outcome in_pieces(const std::string& text, const std::vector<std::string>& stops,
                  const std::vector<std::size_t>& cuts) {
  StopMatcher matcher(stops);
  Outcome outcome;
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    const auto piece = matcher.feed(std::string_view(text).substr(from, cut - from));
    outcome.shown += piece.text;
    if (piece.stop) {
      outcome.stop = piece.stop;
      EXPECT_EQ(matcher.feed("more").text, "");
      EXPECT_EQ(matcher.finish(), "");
      return outcome;
    }
    from = cut;
  }
  outcome.shown += matcher.finish();
  return outcome;
}

TEST(StopMatcher, HoldsBackOnlyWhatCouldStop) {
  StopMatcher matcher({"</end>"});
  EXPECT_EQ(matcher.feed("a <").text, "a ");
  EXPECT_EQ(matcher.held_bytes(), 1u);
  EXPECT_EQ(matcher.feed("/e").text, "");
  EXPECT_EQ(matcher.feed("x").text, "</ex");
  const auto last = matcher.feed("y</end> never shown");
  EXPECT_EQ(last.text, "y");
  EXPECT_EQ(last.stop, 0u);
}

TEST(StopMatcher, AnUnfinishedStopStringIsTextAfterAll) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(matcher.feed("go STO").text, "go ");
  EXPECT_EQ(matcher.finish(), "STO");
}

TEST(StopMatcher, TheFirstCompleteWinsThenTheLongest) {
  EXPECT_EQ(naive("xabc", {"abc", "b"}), (Outcome{"xa", 1}));
  EXPECT_EQ(in_pieces("xabc", {"abc", "b"}, {4}), (Outcome{"xa", 1}));
  EXPECT_EQ(in_pieces("xabc", {"bc", "abc", "c"}, {2, 4}), (Outcome{"x", 1}));
  EXPECT_EQ(in_pieces("ab", {"ab", "ab"}, {2}), (Outcome{"", 0}));
}

TEST(StopMatcher, NoStopsAndEmptyStopsHoldNothing) {
  StopMatcher none({});
  EXPECT_EQ(none.feed("text").text, "text");
  StopMatcher empty({"", "b"});
  EXPECT_EQ(empty.feed("a").text, "a");
  EXPECT_EQ(empty.feed("b").stop, 1u);
}

TEST(StopMatcher, EqualsNaiveSearchHoweverItIsCut) {
  std::mt19937_64 rng(20260131);
  const auto below = [&rng](std::uint64_t n) { return rng() % n; };
  std::size_t matched = 0;
  for (int round = 0; round < 20'000; ++round) {
    // Two letters make overlaps and near misses common.
    const auto word = [&below](std::uint64_t length) {
      std::string text;
      for (std::uint64_t i = 0; i < length; ++i) text += below(2) == 0 ? 'a' : 'b';
      return text;
    };
    std::vector<std::string> stops(1 + below(4));
    for (std::string& stop : stops) stop = word(1 + below(7));
    const std::string text = word(below(24));
    std::vector<std::size_t> cuts{text.size()};
    for (std::uint64_t i = below(8); i > 0; --i) cuts.push_back(below(text.size() + 1));
    std::sort(cuts.begin(), cuts.end());
    const Outcome expected = naive(text, stops);
    ASSERT_EQ(in_pieces(text, stops, cuts), expected) << text;
    matched += expected.stop.has_value();
  }
  EXPECT_GT(matched, 5'000u);
}

// What is held is a prefix of a stop string, so it begins at a character's first byte, and what is
// shown ends at a character's end.
TEST(StopMatcher, NeverCutsACharacter) {
  StopMatcher matcher({"\u00e9\u00e8!"});
  EXPECT_EQ(matcher.feed("x\u00e9").text, "x");
  EXPECT_EQ(matcher.feed("\u00e9\u00e8").text, "\u00e9");
  EXPECT_EQ(matcher.feed("?").text, "\u00e9\u00e8?");
}

}  // namespace
}  // namespace minerva::chat
