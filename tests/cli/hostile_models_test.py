"""Model files whose chat templates and expressions attack the server that reads them, over HTTP."""

import json
import pathlib
import shutil
import struct
import threading
import unittest

import program
from program import ProgramTest, Server

TINY = program.tiny_model()
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]
ALIGNMENT = 32  # of a GGUF file's data
KILOBYTES_MAX = 64 << 10  # that one of them may cost
FOLDER = program.ROOT / "tests/data/hf/llama_bias"

SECRET = "the-content-of-a-file"
OUT_OF_THE_SANDBOX = {
    "include": "{% include 'FILE' %}",
    "import": "{% import 'FILE' as f %}{{ f }}",
    "from": "{% from 'FILE' import f %}",
    "extends": "{% extends 'FILE' %}",
    "open": "{{ open('FILE').read() }}",
    "popen": "{{ lipsum.__globals__['os'].popen('cat FILE').read() }}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('cat FILE').read() }}",
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attr": "{{ messages|attr('__class__')|attr('__base__') }}",
}
BOMBS = {
    "loops": "{% for a in range(99999) %}" * 5 + "{% endfor %}" * 5,
    "power": "{{ 'a' * 10**9 }}",
    "doubling": "{% set x = 'abcdefgh' %}" + "{% set x = x ~ x %}" * 40,
    "macro": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "comparing": "{% set a = [range(9999)|list] * 9999 %}{% set b = [range(9999)|list] * 9999 %}"
                 "{{ a == b }}",
    "output": "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
    "keeping": "{% set n = namespace(x=['a']) %}{% for i in range(99) %}"
               "{% set n.x = n.x + n.x %}{% endfor %}",
}


def with_template(target, template):
    """The tiny model with a chat template of its own. It comes first, in a multiple of the
    alignment, so that the data behind it stay aligned."""
    bytes_of = pathlib.Path(TINY).read_bytes()
    magic, version, tensors, keys = struct.unpack_from("<4sIQQ", bytes_of)
    assert magic == b"GGUF"
    name = b"tokenizer.chat_template"
    text = template.encode()
    text += b"{#" + b" " * (-(8 + len(name) + 4 + 8 + len(text) + 4) % ALIGNMENT) + b"#}"
    entry = struct.pack("<Q", len(name)) + name + struct.pack("<IQ", 8, len(text)) + text
    assert len(entry) % ALIGNMENT == 0
    target.write_bytes(struct.pack("<4sIQQ", magic, version, tensors, keys + 1) + entry +
                       bytes_of[24:])


def with_expression(folder, expression):
    """A model folder whose words are cut by this expression."""
    shutil.copytree(FOLDER, folder)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    vocabulary = letters + ["\u0120", "\u010a", "xy"] + [f"<{i}>" for i in range(size - 29)]
    split = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated",
             "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": False}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {text: i for i, text in enumerate(vocabulary)},
                  "merges": [["x", "y"]]}}))


def memory_peak(server):
    """In KiB, of all its life."""
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


class HostileModelsTest(ProgramTest):
    def serve(self, templates, models=None):
        """A server whose models, in their files, have these templates."""
        own = self.home(models={"tiny": TINY})
        for name, template in templates.items():
            with_template(own.models / f"{name}.gguf", template)
        for name, expression in (models or {}).items():
            with_expression(own.models / name, expression)
        return self.keep(Server(own))

    def refused(self, server, name, **fields):
        status, answer = server.post(CHAT, model=name, messages=HELLO, max_tokens=1, **fields)
        self.assertEqual(status, 400, (name, answer))
        return answer["error"]["message"]

    # --- S10 ---

    def test_no_template_reads_a_file_or_runs_a_program(self):
        secret = self.home().folder / "secret"
        secret.write_text(SECRET)
        templates = {name: template.replace("FILE", str(secret))
                     for name, template in OUT_OF_THE_SANDBOX.items()}
        server = self.serve(templates)
        for name in templates:
            with self.subTest(template=name):
                status, answer = server.post(CHAT, model=name, messages=HELLO, max_tokens=1)
                # What does not even compile is the model's fault.
                compiles = "does not compile" not in answer["error"]["message"]
                self.assertEqual(status, 400 if compiles else 500, answer)
                self.assertIn("template", answer["error"]["message"])
                self.assertNotIn(SECRET, json.dumps(answer))
        self.assertEqual(server.post(CHAT, model="tiny", messages=HELLO, max_tokens=1)[0], 200)

    # --- S11 ---

    def test_no_template_takes_the_server_with_it(self):
        server = self.serve(BOMBS)
        for name in BOMBS:  # the file is read, and its template compiled
            self.refused(server, name)
        connection, response, events = server.stream(
            CHAT, model="tiny", messages=HELLO, max_tokens=400, temperature=0, ignore_eos=True)
        self.addCleanup(connection.close)
        self.assertEqual(response.status, 200)
        next(events)  # it runs
        before = memory_peak(server)
        messages = {}

        def ask(name):
            messages[name] = server.post(CHAT, model=name, messages=HELLO, max_tokens=1)

        threads = [threading.Thread(target=ask, args=(name,)) for name in BOMBS]
        for thread in threads:
            thread.start()
        tokens = 1 + sum(1 for event in events
                         if event != "[DONE]" and event["choices"] and
                         "content" in event["choices"][0]["delta"])
        for thread in threads:
            thread.join()
        self.assertGreater(tokens, 100)
        for name in BOMBS:
            status, answer = messages[name]
            self.assertEqual(status, 400, (name, answer))
            self.assertRegex(answer["error"]["message"],
                             "units of work|wrote more than|recursion limit", name)
        self.assertLess(memory_peak(server) - before, KILOBYTES_MAX * len(BOMBS))

    def test_a_request_brings_no_template_and_no_variable_of_ours(self):
        server = self.serve({"echo": "{{ 'a' * (n or 1) }}{{ messages[0].content }}"})
        self.assertIn("chat_template", self.refused(server, "echo", chat_template="{{ 1 }}"))
        for kwargs in ({"messages": "x"}, {"tools": None}, {"add_generation_prompt": False},
                       {"bos_token": "x"}, {"tokenize": True}, {"chat_template": "x"},
                       {"raise_exception": 1}, {"n": [1]}, {"n": {"a": 1}}):
            with self.subTest(kwargs=kwargs):
                self.assertIn("chat_template_kwargs",
                              self.refused(server, "echo", chat_template_kwargs=kwargs))
        self.assertIn("units of work",
                      self.refused(server, "echo", chat_template_kwargs={"n": 10 ** 9}))

    def test_what_a_request_may_say_reaches_the_template(self):
        # Each byte is a token, so that the length of the prompt tells what the template saw.
        server = self.serve({"lengths": "{{ 'a' * 10 if enable_thinking else 'a' * 20 }}"
                                        "{{ 'b' * 100 if reasoning_effort == 'high' }}"
                                        "{{ 'c' * 200 if date_string == '31 Jan 2026' }}"
                                        "{{ 'd' * 400 if documents }}"})

        def length(**fields):
            status, answer = server.post(CHAT, model="lengths", messages=HELLO, max_tokens=1,
                                         **fields)
            self.assertEqual(status, 200, answer)
            return answer["usage"]["prompt_tokens"]

        none = length()
        self.assertEqual(length(chat_template_kwargs={"enable_thinking": True}), none - 10)
        self.assertEqual(length(chat_template_kwargs={"enable_thinking": False}), none)
        self.assertEqual(length(reasoning_effort="high"), none + 100)
        self.assertEqual(length(reasoning_effort="low"), none)
        self.assertEqual(length(chat_template_kwargs={"date_string": "31 Jan 2026"}), none + 200)
        self.assertEqual(length(documents=[{"text": "x"}]), none + 400)

    # --- S12 ---

    def test_no_expression_of_a_model_takes_a_users_text_for_ever(self):
        server = self.serve({}, models={"evil": "(?<=b)a|a*c", "kind": "[a-z]+"})
        text = "a" * 200_000
        status, answer = server.post("/v1/completions", model="evil", prompt=text, max_tokens=1)
        self.assertEqual((status, answer["error"]["code"]), (500, "invalid_model"), answer)
        self.assertIn("takes too long", answer["error"]["message"])
        for name in ("evil", "kind"):
            status, answer = server.post("/v1/completions", model=name, prompt="banana",
                                         max_tokens=1)
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["usage"]["prompt_tokens"], 6)

    def test_expressions_that_are_programs_are_refused(self):
        own = self.home()
        for number, expression in enumerate(("(?C1)a", r"\Ca", "(?R)", "(*ACCEPT)a", "(" * 200 +
                                             "a" + ")" * 200, "a" * 9000)):
            with self.subTest(expression=expression[:20]):
                with_expression(own.models / f"m{number}", expression)
                error = self.failure(own.run("tokenize", f"m{number}", stdin="a"))
                self.assertIn("expression", error)

    def test_a_word_of_two_megabytes_is_a_prompt(self):
        own = self.home(models={"tiny": TINY})
        ids = own.json("tokenize", "tiny", stdin="a" * 2_000_000)
        self.assertGreater(len(ids), 200_000)


if __name__ == "__main__":
    unittest.main()
