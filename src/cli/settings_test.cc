#include "cli/settings.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace minerva::cli {
namespace {

TEST(Settings, EveryRowHasItsOwnNameFlagAndWords) {
  std::set<std::string_view> names;
  std::set<std::string_view> flags;
  for (const Setting& setting : setting_table()) {
    EXPECT_TRUE(names.insert(setting.name).second) << setting.name;
    EXPECT_TRUE(flags.insert(setting.flag).second) << setting.flag;
    EXPECT_TRUE(setting.flag.starts_with("--")) << setting.flag;
    EXPECT_FALSE(setting.doc.empty()) << setting.name;
  }
}

TEST(Settings, DefaultsAreAccepted) {
  for (const Setting& setting : setting_table()) {
    Settings settings;
    const std::string text = value_text(settings, setting);
    const auto set = set_from_text(settings, setting, text);
    EXPECT_TRUE(set) << setting.name << " refuses its own default \"" << text
                     << "\": " << set.error().message;
    EXPECT_EQ(settings, Settings()) << setting.name;
  }
}

TEST(Settings, BytesAreReadAsPeopleWriteThem) {
  EXPECT_EQ(parse_bytes("0"), 0U);
  EXPECT_EQ(parse_bytes("1000"), 1000U);
  EXPECT_EQ(parse_bytes("512M"), 512U << 20);
  EXPECT_EQ(parse_bytes("4 GiB"), std::uint64_t{4} << 30);
  EXPECT_EQ(parse_bytes("4gb"), std::nullopt);  // no unit is written so
  EXPECT_EQ(parse_bytes("3k"), 3072U);
  EXPECT_EQ(parse_bytes("1T"), std::uint64_t{1} << 40);
  for (const char* wrong : {"", "M", "-1", "1.5G", "1X", "1 G G", "99999999999999999999", "1Gi2",
                            "18446744073709551615T"}) {
    EXPECT_EQ(parse_bytes(wrong), std::nullopt) << wrong;
  }
}

TEST(Settings, TimesAreReadAsPeopleWriteThem) {
  EXPECT_EQ(parse_duration("90"), 90U);
  EXPECT_EQ(parse_duration("90s"), 90U);
  EXPECT_EQ(parse_duration("10m"), 600U);
  EXPECT_EQ(parse_duration("2 h"), 7200U);
  EXPECT_EQ(parse_duration("1d"), 86400U);
  for (const char* wrong :
       {"", "m", "-1", "1.5h", "10min", "1h30m", "99999999999999999999", "9999999999999999999d"}) {
    EXPECT_EQ(parse_duration(wrong), std::nullopt) << wrong;
  }
  Settings settings;
  const Setting& ttl = *find_setting("idle_ttl");
  ASSERT_TRUE(set_from_text(settings, ttl, "15m"));
  EXPECT_EQ(settings.idle_ttl, 900U);
  EXPECT_EQ(value_text(settings, ttl), "15m");
  EXPECT_EQ(set_from_text(settings, ttl, "soon").error().message,
            "takes a number from 0s to 366d (seconds, 90s, 10m and 2h are understood), not "
            "\"soon\"");
}

TEST(Settings, EnginesAreNamed) {
  Settings settings;
  for (const char* name : {"auto", "native", "llama_cpp", "mlx", "remote:office"})
    EXPECT_TRUE(set_from_text(settings, *find_setting("backend"), name)) << name;
  for (const char* name : {"", "llamacpp", "remote:", "remote", "remote:a b", "Native"})
    EXPECT_FALSE(set_from_text(settings, *find_setting("backend"), name)) << name;
  const Setting& fallback = *find_setting("fallback");
  ASSERT_TRUE(set_from_text(settings, fallback, "llama_cpp, remote:office"));
  EXPECT_EQ(settings.fallback, (std::vector<std::string>{"llama_cpp", "remote:office"}));
  EXPECT_FALSE(set_from_text(settings, fallback, "auto"));
  EXPECT_FALSE(set_from_text(settings, fallback, "mlx,mlx,mlx,mlx,mlx,mlx,mlx,mlx,mlx"));
}

TEST(Settings, WrongValuesAreRefusedWithWhatIsAccepted) {
  Settings settings;
  const auto refusal = [&](std::string_view name, std::string_view text) {
    const auto set = set_from_text(settings, *find_setting(name), text);
    return set ? "accepted" : set.error().message;
  };
  EXPECT_EQ(refusal("port", "70000"), "takes a number from 0 to 65535, not \"70000\"");
  EXPECT_EQ(refusal("port", "80x"), "takes a number from 0 to 65535, not \"80x\"");
  EXPECT_EQ(refusal("port", ""), "takes a number from 0 to 65535, not \"\"");
  EXPECT_EQ(refusal("queue", "0"), "takes a number from 1 to 65536, not \"0\"");
  EXPECT_EQ(refusal("strict", "maybe"), "takes true or false, not \"maybe\"");
  EXPECT_EQ(refusal("log_level", "loud"), "takes debug, info, warning, error, off, not \"loud\"");
  EXPECT_EQ(refusal("backend", "\x1b[31mred"),
            "takes auto, native, llama_cpp, mlx or remote:NAME, not \"\\x1b[31mred\"");
  EXPECT_EQ(settings, Settings());
}

TEST(Settings, ListsArePartedByCommas) {
  Settings settings;
  ASSERT_TRUE(set_from_text(settings, *find_setting("models"), " a , b,,c "));
  EXPECT_EQ(settings.models, (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_TRUE(set_from_text(settings, *find_setting("models"), ""));
  EXPECT_TRUE(settings.models.empty());
}

TEST(Settings, TheDocumentHasTheTable) {
  std::ifstream file(std::string(MINERVA_SOURCE_DIR) + "/docs/configuration.md");
  ASSERT_TRUE(file) << "docs/configuration.md is missing";
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(settings_markdown()), std::string::npos)
      << "docs/configuration.md does not hold this table (minerva config --markdown):\n"
      << settings_markdown();
}

}  // namespace
}  // namespace minerva::cli
