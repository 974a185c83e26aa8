// security.md S15 as a table: every numeric field with every hostile number; and docs/api.md, which
// must list exactly the rows that the parser reads.
#include "api/openai/field_table.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "api/error_table.h"
#include "api/openai/parse.h"

namespace minerva::api::openai {
namespace {

Result<Call> parse_with(const Field& field, std::string_view value) {
  if ((field.endpoints & kChat) != 0) {
    return parse_chat_completion(
        fmt::format(R"({{"messages":[{{"role":"user","content":"x"}}],{}"{}":{}}})",
                    field.name == "top_logprobs" ? R"("logprobs":true,)" : "", field.name, value),
        {});
  }
  return parse_completion(
      fmt::format(R"({{"prompt":"x",{}"{}":{}}})", field.name == "best_of" ? R"("n":16,)" : "",
                  field.name, value),
      {});
}

struct Hostile {
  std::string text;
  std::optional<double> number = std::nullopt;  // what it says, where it is a number
};

std::vector<Hostile> hostile_values(const Field& field) {
  const auto text = [](double value) { return fmt::format("{}", value); };
  std::vector<Hostile> out = {
      {"-1", -1.0},
      {"0", 0.0},
      {"-0.0", 0.0},
      {"1", 1.0},
      {"1.0", 1.0},
      {"1.5", 1.5},
      {"2147483648", 2147483648.0},
      {"9007199254740993", 9007199254740992.0},
      {"9223372036854775808", 9223372036854775808.0},
      {"18446744073709551616", 18446744073709551616.0},
      {"-9223372036854775809", -9223372036854775808.0},
      {"1e308", 1e308},
      {"1e-400", 0.0},
      {"1e-60", 1e-60},
      {"1e400"},
      {"-1e400"},
      {"NaN"},
      {"Infinity"},
      {"-Infinity"},
      {"\"1\""},
      {"\"NaN\""},
      {"\"\""},
      {"true"},
      {"[1]"},
      {"[]"},
      {"{}"},
  };
  for (const double value : {field.range.min - 1, field.range.max + 1, field.range.min - 0.001,
                             field.range.max + 0.001, field.range.min, field.range.max}) {
    out.push_back({text(value), value});
  }
  return out;
}

bool should_pass(const Field& field, const Hostile& value) {
  if (!value.number) return false;
  const double number = *value.number;
  if (field.number == Field::Number::Integer && std::trunc(number) != number) return false;
  if (field.range.above_min) {
    // 1e-60 is above 0, but 0 as a float; only `timeout` is kept as a double.
    const bool kept = field.name == "timeout" ? number > field.range.min
                                              : static_cast<float>(number) > field.range.min;
    if (!kept) return false;
  }
  if (field.name == "best_of" && number != 1 && number != 16) return false;
  return number >= field.range.min && number <= field.range.max;
}

TEST(FieldTable, EveryNumberIsBounded) {
  int fields = 0;
  for (const Field& field : field_table()) {
    if (field.number == Field::Number::No) continue;
    ++fields;
    EXPECT_TRUE(parse_with(field, "null")) << field.name;
    for (const Hostile& value : hostile_values(field)) {
      const auto call = parse_with(field, value.text);
      EXPECT_EQ(call.has_value(), should_pass(field, value))
          << field.name << " = " << value.text << ": " << (call ? "" : call.error().message);
      if (call) continue;
      EXPECT_EQ(error_row(call.error().code).status, 400U);
      EXPECT_EQ(call.error().param, field.name) << value.text;
    }
  }
  EXPECT_EQ(fields, 17);
}

TEST(FieldTable, SeedsAreAny64Bits) {
  const Field& seed = *find_field("seed", kChat);
  const std::vector<std::pair<std::string, std::uint64_t>> good = {
      {"0", 0},
      {"-1", 18446744073709551615U},
      {"-9223372036854775808", 9223372036854775808U},
      {"18446744073709551615", 18446744073709551615U},
      {"9007199254740993", 9007199254740993U},
      {"3.0", 3}};
  for (const auto& [text, expected] : good) {
    const auto call = parse_with(seed, text);
    ASSERT_TRUE(call) << text;
    EXPECT_EQ(call->request.sampling.seed, expected);
  }
  for (const auto* bad : {"18446744073709551616", "-9223372036854775809", "1.5", "1e18", "\"1\"",
                          "true", "[1]", "NaN", "1e400"}) {
    const auto call = parse_with(seed, bad);
    ASSERT_FALSE(call) << bad;
    EXPECT_EQ(call.error().param, "seed");
  }
}

TEST(FieldTable, EveryHonouredFieldRefusesAWrongType) {
  for (const Field& field : field_table()) {
    if (field.kind != FieldClass::Honoured) continue;
    // No field takes this: a list of a list of an object.
    const auto call = parse_with(field, R"([[{"zzz":[]}]])");
    ASSERT_FALSE(call) << field.name;
    const std::string name(field.name);
    const std::string& param = call.error().param;
    // A second `messages` or `prompt` is a duplicate key, refused under its name as well.
    EXPECT_EQ(param.substr(0, name.size()), name) << param;
    EXPECT_TRUE(parse_with(field, "null") || name == "messages" || name == "prompt") << name;
  }
}

TEST(FieldTable, NoNameStandsTwiceForAnEndpoint) {
  std::set<std::pair<std::string_view, int>> seen;
  for (const Field& field : field_table()) {
    for (const int endpoint : {kChat, kCompletions}) {
      if ((field.endpoints & endpoint) != 0) {
        EXPECT_TRUE(seen.insert({field.name, endpoint}).second) << field.name;
      }
    }
    EXPECT_EQ(field.read == nullptr, field.kind == FieldClass::Advisory) << field.name;
  }
}

// --- the document ---

std::string document() {
  std::ifstream in(std::string(MINERVA_SOURCE_DIR) + "/docs/api.md");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// What stands between "<!-- NAME -->" and "<!-- end -->".
std::string section(const std::string& text, const std::string& name) {
  const std::string begin = "<!-- " + name + " -->\n";
  const std::size_t from = text.find(begin);
  const std::size_t to = text.find("<!-- end -->", from);
  if (from == std::string::npos || to == std::string::npos) return "(no such section)";
  return text.substr(from + begin.size(), to - from - begin.size());
}

std::string table_of(FieldClass kind) {
  std::string out = kind == FieldClass::Honoured
                        ? "| field | endpoint | accepts | |\n|---|---|---|---|\n"
                        : "| field | endpoint | |\n|---|---|---|\n";
  for (const Field& field : field_table()) {
    if (field.kind != kind) continue;
    out += fmt::format("| `{}` | {} |", field.name, endpoints_text(field));
    if (kind == FieldClass::Honoured) out += fmt::format(" {} |", accepts_text(field));
    out += fmt::format(" {} |\n", field.note);
  }
  return out;
}

TEST(Document, ListsEveryField) {
  const std::string text = document();
  EXPECT_EQ(section(text, "honoured"), table_of(FieldClass::Honoured));
  EXPECT_EQ(section(text, "refused"), table_of(FieldClass::Refused));
  EXPECT_EQ(section(text, "advisory"), table_of(FieldClass::Advisory));
}

TEST(Document, ListsEveryError) {
  std::string table = "| status | type | code | retry | when |\n|---|---|---|---|---|\n";
  for (const ErrorRow& row : error_table()) {
    table += fmt::format("| {} | `{}` | {} | {} | {} |\n", row.status, row.type,
                         row.error_code.empty() ? "null" : fmt::format("`{}`", row.error_code),
                         row.retryable ? "yes" : "no", row.when);
  }
  EXPECT_EQ(section(document(), "errors"), table);
}

}  // namespace
}  // namespace minerva::api::openai
