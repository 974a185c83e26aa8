#include "text/charsmap.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace minerva::text {
namespace {

// The bytes of a charsmap, its trie laid out without care for space.
class Builder {
 public:
  explicit Builder(const std::map<std::string, std::string>& rules) : units_(1) {
    for (const auto& [from, to] : rules) {
      Node* node = &root_;
      for (const char c : from) node = &node->next[static_cast<std::uint8_t>(c)];
      node->value = texts_.size();
      texts_ += to + '\0';
    }
    place(root_, 0, 0);
  }
  std::string bytes() const {
    std::string out;
    const auto add = [&out](std::uint32_t word) {
      for (int i = 0; i < 4; ++i) out += static_cast<char>(word >> (8 * i) & 0xff);
    };
    add(static_cast<std::uint32_t>(units_.size() * 4));
    for (const std::uint32_t unit : units_) add(unit);
    return out + texts_;
  }

 private:
  struct Node {
    std::map<std::uint8_t, Node> next;
    std::size_t value = kNone;
  };
  static constexpr std::size_t kNone = ~std::size_t{0};

  // Each node has the 256 units of a block of its own.
  void place(const Node& node, std::size_t at, std::uint32_t label) {
    const std::size_t block = (units_.size() + 255) / 256 * 256;
    units_.resize(block + 256);
    const bool leaf = node.value != kNone;
    units_[at] = static_cast<std::uint32_t>((at ^ block) << 10) | (leaf ? 1u << 8 : 0) | label;
    if (leaf) units_[block] = static_cast<std::uint32_t>(node.value) | 0x80000000u;
    for (const auto& [byte, next] : node.next) place(next, block ^ byte, byte);
  }

  Node root_;
  std::vector<std::uint32_t> units_;
  std::string texts_;
};

const std::map<std::string, std::string> kRules = {
    {"\t", " "}, {"\xef\xac\x81", "fi"}, {"e\xcc\x81", "E"}, {"\xc3\xa9", "E"}, {"ab", "X"}};

TEST(Charsmap, TheLongestEntryAtEachPlace) {
  const auto map = Charsmap::parse(Builder(kRules).bytes());
  ASSERT_TRUE(map) << map.error().message;
  EXPECT_EQ((*map)->longest("\xef\xac\x81n\te\xcc\x81 abc \xc3\xa9"), "fin E Xc E");
  EXPECT_EQ((*map)->longest("a\xff"), "a\xef\xbf\xbd");
  EXPECT_EQ((*map)->longest(""), "");
}

TEST(Charsmap, GraphemesAreTakenWhole) {
  const auto map = Charsmap::parse(Builder(kRules).bytes());
  ASSERT_TRUE(map) << map.error().message;
  EXPECT_EQ((*map)->by_grapheme("\xef\xac\x81n\te\xcc\x81 abc \xc3\xa9"), "fin E abc E");
  // One grapheme: what follows the entry in it is lost, in `tokenizers`, too.
  EXPECT_EQ((*map)->by_grapheme("\xc3\xa9\xcc\x81x"), "Ex");
  // Of six bytes, so that its characters are looked at one by one.
  EXPECT_EQ((*map)->by_grapheme("\xc3\xa9\xcc\x81\xcc\x81x"), "E\xcc\x81\xcc\x81x");
  EXPECT_EQ((*map)->by_grapheme("a\xff"), "a\xff");
}

TEST(Charsmap, LiesLeadNowhere) {
  EXPECT_EQ((*Charsmap::parse(""))->longest("abc"), "abc");
  EXPECT_FALSE(Charsmap::parse("abc"));
  EXPECT_FALSE(Charsmap::parse(std::string("\x08\0\0\0abcd", 8)));
  EXPECT_FALSE(Charsmap::parse(std::string("\x03\0\0\0abcd", 8)));
  std::string bytes = Builder({{"a", std::string(300, 'x')}}).bytes();
  EXPECT_FALSE(Charsmap::parse(bytes));
  // Every unit points far out: nothing is found, nothing is read.
  bytes = Builder(kRules).bytes();
  for (std::size_t i = 4; i < bytes.size() - 20; ++i) bytes[i] = '\x7f';
  const auto map = Charsmap::parse(bytes);
  if (map) {
    EXPECT_EQ((*map)->longest("abc"), "abc");
  }
}

TEST(Charsmap, Base64) {
  EXPECT_EQ(*bytes_of_base64("aGVsbG8="), "hello");
  EXPECT_EQ(*bytes_of_base64(""), "");
  EXPECT_FALSE(bytes_of_base64("a*"));
}

}  // namespace
}  // namespace minerva::text
