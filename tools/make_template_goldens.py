#!/usr/bin/env python3
"""Makes tests/data/chat/goldens.jsonl: what Python's jinja2, set up as Hugging Face's
apply_chat_template sets it up, makes of every template and every conversation of tests/data/chat.

    pip install jinja2==3.1.6
    python tools/make_template_goldens.py

One line a pair: {"template", "case", "text"}, or "refused" with the exception where Python fails.
"""
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "chat"
NOW = datetime.datetime(2026, 1, 31, 12, 34, 56)


class Generation(jinja2.ext.Extension):
    """{% generation %}...{% endgeneration %}: only marks text, in Hugging Face's version too."""

    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(lineno)


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def tool(name, description, properties, required, **more):
    function = {"name": name, "description": description,
                "parameters": {"type": "object", "properties": properties, "required": required}}
    function.update(more)
    return {"type": "function", "function": function}


WEATHER = tool("get_weather", "The weather of a city, now.",
               {"city": {"type": "string", "description": "Name, as in \"São Paulo\""},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}, ["city"])
ORDER = tool("place_order", "Orders things <at once> & for real.",
             {"items": {"type": "array", "description": "What",
                        "items": {"type": "object", "properties": {
                            "sku": {"type": "string"}, "count": {"type": "integer", "default": 1},
                            "price": {"type": "number", "maximum": 1e20, "minimum": 1e-7}}}},
              "rush": {"type": "boolean", "default": False},
              "note": {"type": "string", "nullable": True}}, ["items"],
             **{"strict": True})
UNION = tool("union", "A type that is a list.", {"x": {"type": ["string", "null"]}}, [])
PLAIN = tool("ping", "No parameters.", {}, [])


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def call(identifier, name, arguments):
    return {"id": identifier, "type": "function",
            "function": {"name": name, "arguments": arguments}}


def result(identifier, content, name="get_weather"):
    return {"role": "tool", "tool_call_id": identifier, "name": name, "content": content}


PARIS = call("call00001", "get_weather", {"city": "Paris", "unit": "celsius"})
ROME = call("call00002", "get_weather", {"city": "Rome", "days": 2, "detail": {"wind": True, "x": 1.5}})


def conversations():
    def case(name, messages, tools=None, prompt=True, **more):
        return {"name": name, "context": {
            "messages": messages, "tools": tools, "documents": None,
            "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>", **more}}

    weather_turn = [user("Weather in Paris?"), assistant(None, tool_calls=[PARIS]),
                    result("call00001", '{"celsius": 21.5}')]
    return [
        case("one_turn", [user("Hello!")]),
        case("one_turn_no_prompt", [user("Hello!")], prompt=False),
        case("system", [system("You are terse."), user("Hi")]),
        case("system_empty", [system(""), user("Hi")]),
        case("multi_turn", [system("Be kind."), user("One"), assistant("1"), user("Two"),
                            assistant("2"), user("Three")]),
        case("multi_turn_closed", [user("One"), assistant("1"), user("Two"), assistant("2")],
             prompt=False),
        case("unicode", [system("Ünïcödé 你好"), user("नमस्ते 👩‍👩‍👧 \u202eabc\u202c \u00a0 é"),
                         assistant("日本語 \\n <|im_end|> </s>"), user("\t tabs\nand lines \r\n ")]),
        case("spaces", [user("  padded  \n\n"), assistant("\n\n answer \n"), user(" \n ")]),
        case("tools", [system("Use tools."), user("Weather?")], [WEATHER, ORDER]),
        case("tools_no_system", [user("Weather?")], [WEATHER]),
        case("tools_plain", [user("Ping?")], [PLAIN]),
        case("tools_union", [user("Union?")], [UNION]),
        case("tool_call", weather_turn[:2], [WEATHER], prompt=False),
        case("tool_result", weather_turn, [WEATHER]),
        case("tool_answered", [system("S")] + weather_turn + [assistant("21.5 degrees."),
                                                             user("Thanks, and Rome?")], [WEATHER]),
        case("tool_call_with_text", [user("Weather?"), assistant("Let me look.", tool_calls=[ROME]),
                                     result("call00002", "rain")], [WEATHER]),
        case("parallel_calls", [user("Both?"), assistant("", tool_calls=[PARIS, ROME]),
                                result("call00001", "21"), result("call00002", "{\"a\": [1, 2]}")],
             [WEATHER, ORDER]),
        case("call_as_text", [user("Weather?"), assistant("", tool_calls=[
            call("call00003", "get_weather", "{\"city\": \"Oslo\"}")]),
            result("call00003", "cold")], [WEATHER]),
        case("call_without_tools", weather_turn),
        case("parts", [user([{"type": "text", "text": "Part one."},
                             {"type": "text", "text": " Part two."}])]),
        case("parts_system", [system([{"type": "text", "text": "Sys."}]), user("Hi")]),
        case("image", [user([{"type": "text", "text": "What is this?"}, {"type": "image"}])]),
        case("thinking_on", [system("S"), user("Think.")], enable_thinking=True),
        case("thinking_off", [system("S"), user("Do not."), assistant("ok"), user("Again.")],
             enable_thinking=False),
        case("reasoning", [user("2+2?"), assistant("4", reasoning_content="Two and two."),
                           user("3+3?"), assistant("<think>\nhm\n</think>\n\n6"), user("Sure?")]),
        case("no_user", [system("Only a system.")]),
        case("two_users", [user("A"), user("B")]),
        case("starts_with_assistant", [assistant("I begin."), user("Ok")]),
        case("developer", [{"role": "developer", "content": "Dev."}, user("Hi")]),
        case("unknown_role", [{"role": "narrator", "content": "Once."}, user("Hi")]),
        case("names", [{"role": "user", "content": "Hi", "name": "ada"}]),
        case("documents", [user("From the documents?")],
             documents=[{"title": "T1", "text": "Text one."}, {"title": "T2", "text": "Text two."}]),
        case("variables", [system("S"), user("Hi")], date_string="31 Jan 2026",
             reasoning_effort="high", custom_instructions="Custom.", thinking=True,
             model_identity="You are M.", builtin_tools=["browser", "python"]),
        case("empty", []),
        case("thinking_named_otherwise", [system("S"), user("Think.")], thinking=True,
             reasoning_effort="low"),
        case("thinking_off_with_tools", [user("Weather?")], [WEATHER], enable_thinking=False,
             thinking=False),
        case("reasoning_and_call", [user("Weather?"), assistant(
            "I look.", reasoning_content="It is asked.\nI call.", tool_calls=[PARIS]),
            result("call00001", "21")], [WEATHER], enable_thinking=True),
        case("reasoning_closed", [user("2+2?"), assistant("4", reasoning_content="Two and two.")],
             prompt=False),
        case("parallel_as_text", [user("Both?"), assistant(None, tool_calls=[
            call("call00004", "get_weather", "{\"city\": \"Z\u00fcrich\"}"),
            call("call00005", "ping", "{}")]), result("call00004", "9"),
            result("call00005", "", "ping"), assistant("9 degrees."), user("Thanks")],
            [WEATHER, PLAIN]),
        case("result_in_parts", weather_turn[:2] + [
            result("call00001", [{"type": "text", "text": "21"}, {"type": "text", "text": " C"}])],
            [WEATHER]),
        case("images_in_turns", [
            system("S"), user([{"type": "image"}, {"type": "text", "text": "A?"}]),
            assistant("A cat."), user([{"type": "text", "text": "And b?"}, {"type": "image"}])]),
        case("documents_and_tools", [system("S"), user("From both?")], [WEATHER],
             documents=[{"title": "T\u00e9", "text": "\u4f60\u597d"}]),
    ]


def main():
    env = environment()
    cases = conversations()
    (DATA / "conversations.json").write_text(
        json.dumps(cases, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    lines = []
    rendered = refused = 0
    for path in sorted(DATA.glob("*/*.jinja")):
        template = env.from_string(path.read_bytes().decode("utf-8"))
        for item in cases:
            line = {"template": f"{path.parent.name}/{path.name}", "case": item["name"]}
            try:
                line["text"] = template.render(**item["context"])
                rendered += 1
            except Exception as error:  # whatever a template does to Python
                line["refused"] = f"{type(error).__name__}: {error}"[:120]
                refused += 1
            lines.append(json.dumps(line, ensure_ascii=False))
    (DATA / "goldens.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{rendered} rendered, {refused} refused, jinja2 {jinja2.__version__}", file=sys.stderr)


if __name__ == "__main__":
    main()
