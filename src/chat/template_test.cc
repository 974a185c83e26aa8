#include "chat/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace minerva::chat {
namespace {

using ::testing::HasSubstr;

std::string repeat(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

Result<std::string> render(std::string source, const Json& context = Json::object(),
                           TemplateLimits limits = {}) {
  MINERVA_ASSIGN(const auto made, ChatTemplate::compile(std::move(source), limits));
  return made->render(context);
}

std::string text_of(std::string source, const Json& context = Json::object()) {
  const auto text = render(std::move(source), context);
  EXPECT_TRUE(text) << text.error().message;
  return text.value_or("");
}

// The message, and a check that it is the client's to read.
std::string refusal(std::string source, const Json& context = Json::object()) {
  const auto text = render(source, context);
  EXPECT_FALSE(text) << source.substr(0, 200) << " gave " << text.value_or("").substr(0, 200);
  if (text) return "";
  EXPECT_TRUE(text.error().code == ErrorCode::InvalidArgument ||
              text.error().code == ErrorCode::InvalidModel)
      << text.error().message;
  return text.error().message;
}

TEST(Template, RaisedMessageReachesTheClient) {
  const auto text =
      render("{{ raise_exception('roles must alternate: ' + role) }}", {{"role", "narrator"}});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(text.error().param, "messages");
  EXPECT_THAT(text.error().message, HasSubstr("roles must alternate: narrator"));
}

TEST(Template, RaisedInsideAMacroToo) {
  EXPECT_THAT(refusal("{% macro f() %}{{ raise_exception('deep') }}{% endmacro %}{{ f() }}"),
              HasSubstr("refuses: deep"));
}

TEST(Template, FailureNamesTheLine) {
  EXPECT_THAT(refusal("one\ntwo {{ nothing.here.at_all }}"), HasSubstr("line 2"));
}

TEST(Template, WhatDoesNotCompileIsTheModelsFault) {
  const auto made = ChatTemplate::compile("{% if x %}never closed");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::InvalidModel);
  EXPECT_FALSE(ChatTemplate::compile("\xff\xfe"));
}

TEST(Template, ContextMustBeAnObjectOfValidText) {
  EXPECT_FALSE(render("x", Json::array()));
  const auto text = render("{{ x }}", {{"x", "\xff"}});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::InvalidArgument);
  EXPECT_THAT(text.error().message, HasSubstr("UTF-8"));
}

TEST(Template, DeepContextIsRefusedBeforeAnythingRecurses) {
  Json deep = 1;
  for (int i = 0; i < 5000; ++i) deep = Json::array({std::move(deep)});
  Json context = Json::object();
  context["x"] = std::move(deep);
  EXPECT_THAT(refusal("{{ x }}", context), HasSubstr("nests deeper"));
}

TEST(Template, ClockIsWhatTheContextSays) {
  const std::string source = "{{ strftime_now('%d %b %Y %H:%M:%S') }}{{ now }}";
  EXPECT_EQ(text_of(source, {{"now", "2026-01-31T12:34:56"}}), "31 Jan 2026 12:34:56");
  EXPECT_EQ(text_of(source, {{"now", "2024-02-29"}}), "29 Feb 2024 00:00:00");
  EXPECT_EQ(text_of("{{ strftime_now('%s %Y') }}", {{"now", 1767571629}}), "1767571629 2026");
  EXPECT_EQ(text_of("{{ strftime_now('%Y') }}", {{"now", 1767571629.75}}), "2026");
  for (const Json& bad : {Json("yesterday"), Json("2026-02-30"), Json("2026-01-31T25:00"),
                          Json(1e300), Json(true), Json("2026-01-31T12:00:00junk")}) {
    const auto text = render(source, {{"now", bad}});
    ASSERT_FALSE(text) << bad;
    EXPECT_EQ(text.error().param, "now");
  }
}

TEST(Template, ClockCanBePassedIn) {
  const auto made = ChatTemplate::compile("{{ strftime_now('%s') }}");
  ASSERT_TRUE(made);
  EXPECT_EQ(*(*made)->render(Json::object(), 86400), "86400");
}

TEST(Template, KeysKeepTheirOrder) {
  const Json context = {{"x", Json::parse(R"({"z": 1, "a": {"y": 2, "b": 3}})")}};
  EXPECT_EQ(text_of("{{ x|tojson }}", context), R"({"z": 1, "a": {"y": 2, "b": 3}})");
}

TEST(Template, ListsInANamespaceCanChange) {
  EXPECT_EQ(text_of("{% set ns = namespace(q=[1]) %}{% set _ = ns.q.append('b') %}"
                    "{% set _ = ns.q.insert(0, 'a') %}{{ ns.q.pop() }}{{ ns.q }}"
                    "{% set _ = ns.q.extend([2, 3]) %}{{ ns.q|length }}{{ ns.q + [4] }}"
                    "{% set ns.q = [] %}{% set _ = ns.q.append(9) %}{{ ns.q[0] }}{{ 9 in ns.q }}"
                    "{% set _ = ns.q.clear() %}{{ 'none left' if not ns.q }}"),
            "b['a', 1]4['a', 1, 2, 3, 4]9Truenone left");
}

TEST(Template, ManyThreadsShareOne) {
  const auto made = ChatTemplate::compile("{% for m in messages %}{{ m.a|tojson }}{% endfor %}");
  ASSERT_TRUE(made);
  const Json context = {{"messages", Json::array({Json{{"a", "x"}}, Json{{"a", 1.5}}})}};
  std::vector<int> wrong(8);
  {
    std::vector<std::jthread> threads;
    for (int& count : wrong) {
      threads.emplace_back([&count, &made, &context] {
        for (int i = 0; i < 500; ++i) count += (*made)->render(context) != "\"x\"1.5";
      });
    }
  }
  for (const int count : wrong) EXPECT_EQ(count, 0);
}

// security.md S10: what gets out of an unsandboxed jinja2, and what reads files.
TEST(Template, AttacksOnPythonAreRefused) {
  for (const char* payload : {
           "{{ ''.__class__.__mro__[1].__subclasses__() }}",
           "{{ ''['__class__'] }}",
           "{{ ''|attr('__class__') }}",
           "{{ lipsum.__globals__['os'].popen('id').read() }}",
           "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
           "{{ self.__init__.__globals__.__builtins__.__import__('os').popen('id').read() }}",
           "{{ namespace.__init__.__globals__ }}",
           "{{ joiner.__init__.__globals__.os }}",
           "{{ raise_exception.__globals__ }}",
           "{{ request.application.__globals__ }}",
           "{{ config.items() }}",
           "{{ get_flashed_messages.__globals__ }}",
           "{{ url_for.__globals__ }}",
           "{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}",
           "{% include '/etc/passwd' %}",
           "{% import '/etc/passwd' as p %}",
           "{% from '/etc/passwd' import p %}",
           "{% extends '/etc/passwd' %}",
           "{{ open('/etc/passwd').read() }}",
           "{{ eval('1') }}",
           "{{ lipsum() }}",
           "{{ messages.append(1) }}",
           "{{ x.pop() }}",
       }) {
    const Json context = {{"messages", Json::array()}, {"x", Json::object()}};
    EXPECT_FALSE(refusal(payload, context).empty()) << payload;
  }
}

// security.md S11. What stops each is asserted, not the time.
TEST(Template, BombsRunOutOfFuel) {
  const std::string loops = repeat("{% for a in range(99999) %}", 5) + repeat("{% endfor %}", 5);
  const std::string doubling = "{% set x = 'abcdefgh' %}" + repeat("{% set x = x ~ x %}", 40);
  const std::string laughs = "{% set x = ['ha'] %}" + repeat("{% set x = [x, x] %}", 40);
  for (const std::string& bomb : {
           loops,
           std::string("{{ 'a' * 10**9 }}"),
           doubling,
           std::string("{{ 'a'.replace('', 'x' * 9999).replace('x', 'y' * 9999) }}"),
           std::string("{{ ('a' * 99999).join(range(99999)) }}"),
           std::string("{{ '{:999999999}'.format(1) }}"),
           std::string("{{ 'x'.ljust(999999999) }}"),
           std::string("{{ ['a' * 100000] * 1000 ~ '' }}"),
           std::string("{{ (['a' * 100000] * 1000)|string }}"),
           std::string("{{ (['a' * 100000] * 1000)|tojson }}"),
           std::string("{{ (['a' * 100000] * 1000)|upper }}"),
           std::string("{{ ['a' * 100000] * 1000 }}"),
           laughs + "{{ x }}",
           laughs + "{{ x == [x] }}",
           std::string("{% set x = range(99999)|list %}{% for i in range(99999) %}"
                       "{% if x.count(-1) %}{% endif %}{% endfor %}"),
           std::string("{% set ns = namespace(x=['a']) %}{% for i in range(99) %}"
                       "{% set ns.x = ns.x + ns.x %}{% endfor %}"),
       }) {
    EXPECT_THAT(refusal(bomb), HasSubstr("units of work")) << bomb.substr(0, 100);
  }
}

// Values of little memory and many items: what walks through them pays for all of these.
TEST(Template, ComparingLargeValuesRunsOutOfFuel) {
  const std::string lists =
      "{% set a = [range(9999)|list] * 9999 %}{% set b = [range(9999)|list] * 9999 %}";
  const std::string texts = "{% set a = 'x' * 4000000 %}{% set b = 'x' * 4000000 %}";
  const auto often = [](std::string_view what) {
    return "{% for i in range(99999) %}" + std::string(what) + "{% endfor %}";
  };
  for (const std::string& bomb : {
           lists + "{{ a == b }}",
           lists + "{{ 1 if a != b or a < b }}",
           lists + "{{ a in [1, b] }}",
           lists + "{{ a not in {'x': b}.values() }}",
           lists + "{{ a is eq b }}",
           lists + "{{ a is in [b] }}",
           lists + "{{ [a]|select('equalto', b)|list }}",
           lists + "{{ [a, b]|sort|length }}",
           lists + "{{ [a, b]|unique|list|length }}",
           lists + "{{ [a, b]|max|length }}",
           lists + "{{ {'x': a, 'y': b}|dictsort(by='value')|length }}",
           lists + "{{ [b].count(a) }}",
           lists + "{{ {'x': 1}[a] }}",
           lists + "{{ {'x': 1}.get(a) }}",
           lists + "{{ {'x': 1}|attr(a) }}",
           lists + "{{ {a: 1}|length }}",
           lists + "{% for i in [1, 2] %}{{ loop.changed(a if i == 1 else b) }}{% endfor %}",
           texts + often("{% if a == b %}{% endif %}"),
           texts + often("{% if a is eq b %}{% endif %}"),
           texts + often("{% if {'x': 1}[a] %}{% endif %}"),
           texts + often("{% if a.startswith(b) %}{% endif %}"),
           texts + often("{% if a.find('y') > 0 %}{% endif %}"),
           texts + often("{% if a.isalpha() %}{% endif %}"),
           texts + often("{% if a is startingwith(b) %}{% endif %}"),
           texts + often("{% if a|length == 1 %}{% endif %}"),
           texts + often("{% if a[1:2] %}{% endif %}"),
           texts + often("{% if a[3999999] %}{% endif %}"),
           texts + often("{% if a|int(0) %}{% endif %}"),
           texts + often("{% if a|first %}{% endif %}"),
           texts + often("{% if 'y' in a %}{% endif %}"),
           texts + often("{% if a is lower %}{% endif %}"),
           texts + often("{% if a is sameas(b) %}{% endif %}"),
       }) {
    EXPECT_THAT(refusal(bomb), HasSubstr("units of work")) << bomb;
  }
  EXPECT_EQ(text_of("{% set x = [1, [2, 'a']] %}{{ x == [1, [2, 'a']] }}{{ x[1] in x }}"
                    "{{ 'b' not in x[1] }}{{ {'k': 'v'}[('k')] }}{{ [3, 1, 2]|sort }}"
                    "{{ [1, 2, 1]|unique|list }}{{ [x, x].count(x) }}{{ x is eq x }}"
                    "{{ {'a': 1} == {'a': 1.0} }}{{ 1 < 2 < 3 }}{{ 'a b1' is lower }}"
                    "{{ '12' is upper }}{{ 'abc'[1:][0] }}{{ x[1][1][0] }}"),
            "TrueTrueTruev[1, 2, 3][1, 2]2TrueTrueTrueTrueFalseba");
}

TEST(Template, BombsAreStoppedByOtherLimits) {
  EXPECT_THAT(refusal("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}"),
              HasSubstr("recursion limit"));
  EXPECT_THAT(refusal("{% for i in [1] recursive %}{{ loop([i]) }}{% endfor %}"),
              HasSubstr("recursion limit"));
  EXPECT_THAT(refusal("{% set ns = namespace(x=[]) %}{% for i in range(9999) %}"
                      "{% set ns.x = [ns.x] %}{% endfor %}"),
              HasSubstr("nested more than"));
  EXPECT_THAT(refusal("{{ " + repeat("not ", 30000) + "1 }}"), HasSubstr("tokens"));
  EXPECT_THAT(refusal("{{ " + repeat("[", 2000) + repeat("]", 2000) + " }}"),
              HasSubstr("recursion"));
  EXPECT_THAT(refusal(repeat("{% if 1 %}", 3000) + repeat("{% endif %}", 3000)),
              HasSubstr("recursion"));
  EXPECT_THAT(refusal("{% for i in range(9999) %}" + std::string(1000, 'x') + "{% endfor %}"),
              HasSubstr("wrote more than"));
}

// A namespace that holds itself would be printed for ever.
TEST(Template, ValuesCannotHoldThemselves) {
  for (const char* source : {
           "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
           "{% set ns = namespace() %}{% set ns.a = [{'x': ns}] %}{{ ns|tojson }}",
           "{% set ns = namespace() %}{% set ns.a | default(ns, true) %}{% endset %}{{ ns ~ '' }}",
           "{% set ns = namespace() %}{% set ns.a, b = ns, 1 %}{{ ns == ns.a }}",
           "{% set ns = namespace(l=[]) %}{% set _ = ns.l.append(ns) %}{{ ns }}",
       }) {
    EXPECT_THAT(refusal(source), HasSubstr("namespace cannot be stored")) << source;
  }
  EXPECT_EQ(text_of("{% set ns = namespace(l=[1]) %}{% set _ = ns.l.append(ns.l) %}{{ ns.l }}"),
            "[1, [1]]");
  EXPECT_EQ(text_of("{% set ns = namespace(l=[1]) %}{% set ns.m = ns.items() %}{{ ns.m|length }}"),
            "1");
}

// The same template and context pass with more fuel and fail with less: fuel is what stops it, and
// it grows with the conversation.
TEST(Template, FuelIsWhatStopsIt) {
  const std::string source = "{% for c in text %}{% if c == 'x' %}{% endif %}{% endfor %}done";
  const Json long_context = {{"text", std::string(100'000, 'a')}};
  EXPECT_EQ(*render(source, long_context), "done");
  TemplateLimits little;
  little.fuel_per_context_byte = 0;
  const auto stopped = render(source, long_context, little);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::InvalidArgument);
  EXPECT_THAT(stopped.error().message, HasSubstr("500000 units of work"));
  little.fuel_base = 10'000'000;
  EXPECT_EQ(*render(source, long_context, little), "done");
  little.fuel_max = 100'000;
  EXPECT_FALSE(render(source, long_context, little));
}

// 10^5 messages are a long conversation, not an attack.
TEST(Template, ManyMessagesRender) {
  Json messages = Json::array();
  for (int i = 0; i < 100'000; ++i) messages.push_back({{"role", "user"}, {"content", "m"}});
  const auto text =
      render("{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}",
             {{"messages", std::move(messages)}});
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->size(), 800'000u);
}

TEST(TemplateTraits, FindsOutTheShapes) {
  const auto traits = [](std::string source) {
    return (*ChatTemplate::compile(std::move(source)))->traits();
  };
  EXPECT_EQ(traits("{% for m in messages %}{{ m.content }}{% endfor %}").content,
            ContentShape::String);
  EXPECT_EQ(traits("{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
                   "{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}{% endfor %}")
                .content,
            ContentShape::Either);
  EXPECT_EQ(traits("{% for m in messages %}{% for p in m.content %}{{ p['text'] }}{% endfor %}"
                   "{% endfor %}")
                .content,
            ContentShape::Parts);
  const std::string calls = "{% for m in messages %}{% for c in m.tool_calls or [] %}";
  const std::string end = "{% endfor %}{% endfor %}";
  EXPECT_EQ(traits(calls + "{{ c.function.arguments|tojson }}" + end).arguments,
            ArgumentsShape::Object);
  EXPECT_EQ(traits(calls + "{{ 'x' + c.function.arguments }}" + end).arguments,
            ArgumentsShape::Text);
  EXPECT_EQ(traits(calls + "{{ c.function.arguments }}" + end).arguments, ArgumentsShape::Text);
  EXPECT_TRUE(traits(calls + "{{ m.content or '' }}" + end).takes_null_content);
  EXPECT_FALSE(traits(calls + "{{ m.content + '' }}" + end).takes_null_content);
  EXPECT_FALSE(traits(calls + "{{ m.content }}" + end).takes_null_content);
}

}  // namespace
}  // namespace minerva::chat
