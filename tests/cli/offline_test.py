"""The verbs that need no server."""

import json
import os
import pathlib
import socket
import struct
import subprocess
import unittest

import program
from program import ProgramTest

VOCAB = program.ROOT / "tests" / "data" / "vocab"
TINY = program.tiny_model()


class TokenizeTest(ProgramTest):
    def cases(self, vocabulary):
        texts = (VOCAB / f"{vocabulary}.inp").read_bytes().split(b"\n__ggml_vocab_test__\n")
        lines = (VOCAB / f"{vocabulary}.out").read_text().split("\n")
        ids = [[int(word) for word in line.split()] for line in lines]
        self.assertGreater(len(texts), 30)
        return list(zip(texts, ids))

    def test_shared_vocabularies(self):
        home = self.home()
        for vocabulary in ("gpt-2", "llama-bpe", "llama-spm"):
            path = VOCAB / f"ggml-vocab-{vocabulary}.gguf"
            # Each text is a start of the program; the tokenizer's own tests have every one.
            for text, ids in self.cases(path.name)[::6]:
                done = home.run("tokenize", path, stdin=text)
                self.assertEqual(json.loads(done.stdout), ids, text)
                self.assertEqual(done.stdout.count(b"\n"), 1)
                back = home.run("detokenize", path, stdin=done.stdout)
                self.assertEqual((back.returncode, back.stdout), (0, text), ids)

    def test_special_tokens_are_asked_for(self):
        home = self.home()
        path = VOCAB / "ggml-vocab-llama-bpe.gguf"
        text = "<|begin_of_text|>x"
        plain = home.json("tokenize", path, stdin=text)
        parsed = home.json("tokenize", path, "--parse-special", stdin=text)
        self.assertGreater(len(plain), 2)
        self.assertEqual(parsed, [128000, 87])
        self.assertEqual(home.json("tokenize", path, "--add-special", stdin="x"), [128000, 87])
        self.assertEqual(home.run("detokenize", path, stdin="[128000,87]").stdout, b"x")
        special = home.run("detokenize", path, "--special", stdin="[128000,87]")
        self.assertEqual(special.stdout, text.encode())

    def test_bad_ids(self):
        home = self.home(models={"tiny": TINY})
        for text, message in [
            ("[1, 2", "standard input: invalid JSON at line 1, column 6 (byte 5)"),
            ("{}", "'standard input' must be an array"),
            ('[1,"a"]', 'must be an integer from 0 to 2147483647, got the string "a"'),
            ("[-1]", "must be an integer from 0"),
            ("[272]", "element 0: there is no token 272; the vocabulary has 272 tokens"),
            ("", "standard input: invalid JSON"),
        ]:
            done = home.run("detokenize", "tiny", stdin=text)
            self.assertIn(message, self.failure(done))
            self.assertEqual(done.stdout, b"")

    def test_any_bytes(self):
        home = self.home()
        path = VOCAB / "ggml-vocab-gpt-2.gguf"
        data = bytes(range(256)) * 3
        ids = home.run("tokenize", path, stdin=data).stdout
        self.assertEqual(home.run("detokenize", path, stdin=ids).stdout, data)


class TemplateTest(ProgramTest):
    def test_a_jinja_file(self):
        home = self.home()
        template = home.folder / "t.jinja"
        template.write_text("{% for m in messages %}[{{ m.role }}|{{ m.content }}|{{ m.extra }}]"
                            "{% endfor %}{{ strftime_now('%Y-%m-%d') }}{{ x }}"
                            "{% if add_generation_prompt %}>{% endif %}")
        context = {"messages": [{"role": "user", "content": "hé\n", "extra": 7}], "x": [1, None],
                   "now": "2026-01-31", "add_generation_prompt": True}
        done = home.run("template", template, stdin=json.dumps(context))
        self.assertEqual(done.stdout.decode(), "[user|hé\n|7]2026-01-31[1, None]>")
        context |= {"now": 0, "add_generation_prompt": False}
        done = home.run("template", template, stdin=json.dumps(context), TZ="UTC")
        self.assertEqual(done.stdout.decode(), "[user|hé\n|7]1970-01-01[1, None]")

    def test_a_models_own_or_known_template(self):
        home = self.home(models={"tiny": TINY})
        context = json.dumps({"messages": [{"role": "user", "content": "hi"}]})
        done = home.run("template", "tiny", stdin=context)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"hi", done.stdout)

    def test_failures(self):
        home = self.home()
        template = home.folder / "t.jinja"
        template.write_text("{{ raise_exception('no system role') }}")
        self.assertIn("no system role", self.failure(home.run("template", template, stdin="{}")))
        template.write_text("{% if %}")
        self.assertIn("does not compile", self.failure(home.run("template", template, stdin="{}")))
        template.write_text("x")
        self.assertIn("line 1, column 15", self.failure(
            home.run("template", template, stdin='{"messages": [}')))
        self.assertIn("must be an object", self.failure(home.run("template", template, stdin="[]")))


class ModelsTest(ProgramTest):
    def test_list(self):
        home = self.home(models={"tiny": TINY})
        program.copy_cut_short(TINY, home.models / "cut.gguf", 5000)
        listed = {entry["name"]: entry for entry in home.json("list", "--json")}
        self.assertEqual(set(listed), {"tiny", "cut"})
        self.assertEqual(listed["tiny"]["problem"], None)
        self.assertEqual(listed["tiny"]["architecture"], "llama")
        self.assertEqual(listed["tiny"]["weight_type"], "Q8_0")
        self.assertEqual(listed["tiny"]["context_length"], 100000)
        self.assertEqual(listed["tiny"]["size_bytes"], os.path.getsize(TINY))
        self.assertTrue(listed["cut"]["problem"])
        text = home.run("list").stdout.decode()
        self.assertIn("tiny", text)
        self.assertIn("cannot be used", text)

    def test_an_empty_folder_says_what_to_do(self):
        self.assertIn(b"put a .gguf file there", self.home().run("list").stdout)

    def test_show(self):
        home = self.home(models={"tiny": TINY})
        shown = home.json("show", "tiny", "--context", "4096", "--json")
        self.assertEqual(shown["architecture"], "llama")
        self.assertEqual(shown["context_trained"], 100000)
        self.assertEqual(shown["context"], 4096)
        # 2 layers, 2 KV heads of 64, K and V, two bytes each.
        self.assertEqual(shown["memory"]["context_bytes"], 4096 * 2 * 2 * 64 * 2 * 2)
        self.assertEqual(shown["tokenizer"]["tokens"], 272)
        self.assertEqual(shown["special_tokens"]["bos"]["text"], "<|bos|>")
        self.assertFalse(shown["chat_template"]["own"])
        self.assertEqual(shown["unsupported"], [])
        self.assertIn("4096 here, trained for 100000",
                      home.run("show", "tiny", "--context", "4096").stdout.decode())

    def test_show_says_what_is_not_supported(self):
        shown = self.home().json("show", VOCAB / "ggml-vocab-gpt-2.gguf", "--json")
        self.assertIn("this model is gpt2", shown["unsupported"][0])
        self.assertIn("llama, mistral3, qwen2", shown["unsupported"][0])

    def test_unknown_and_broken_models(self):
        home = self.home(models={"tiny": TINY, "other": TINY})
        error = self.failure(home.run("show", "tny"))
        self.assertEqual(error, "unknown model 'tny'; known: tiny, other")
        self.assertIn("no such model file", self.failure(home.run("show", "nowhere/x.gguf")))
        cut = home.folder / "cut.gguf"
        program.copy_cut_short(TINY, cut, 5000)
        for verb in (["show", cut], ["tokenize", cut], ["serve", "--model", cut], ["bench", cut]):
            error = self.failure(home.run(*verb))
            self.assertIn("cut.gguf", error)
            self.assertIn("a download that was not finished?", error)
        self.assertIn("unknown model", self.failure(home.run("serve", "--model", "nope")))

    def test_models_of_other_programs_are_used_in_place(self):
        home = self.home(models={"tiny": TINY})
        cache = home.folder / "llama.cpp"
        cache.mkdir()
        for name in ("fetched", "tiny"):
            (cache / f"{name}.gguf").symlink_to(pathlib.Path(TINY).resolve())
        there = {"MINERVA_MODEL_SOURCES": "llama_cpp", "LLAMA_CACHE": str(cache)}
        listed = {entry["name"]: entry for entry in home.json("list", "--json", **there)}
        self.assertEqual(set(listed), {"tiny", "fetched", "llamacpp/tiny"})
        self.assertEqual(listed["tiny"]["source"], "models folder")
        self.assertEqual(listed["fetched"]["source"], "llama_cpp")
        self.assertIn("llama_cpp", home.run("list", **there).stdout.decode())
        shown = home.json("show", "llamacpp/tiny", "--json", **there)
        self.assertEqual(shown["path"], str(cache / "tiny.gguf"))
        self.assertEqual(home.json("list", "--json")[0]["name"], "tiny")
        self.assertIn("model_sources", self.failure(
            home.run("list", MINERVA_MODEL_SOURCES="olama")))

    def test_show_explains_its_verdict(self):
        home = self.home(models={"tiny": TINY})
        shown = home.json("show", "tiny", "--json")
        self.assertEqual(shown["format"], "gguf")
        self.assertTrue(any("architecture" in line for line in shown["evidence"]))
        self.assertIn("because", home.run("show", "tiny").stdout.decode())
        folder = home.models / "coded"
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "llama", "auto_map": {"A": "b.C"}}')
        header = b'{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
        weights = len(header).to_bytes(8, "little") + header + bytes(4)
        (folder / "model.safetensors").write_bytes(weights)
        shown = home.json("show", "coded", "--json")
        self.assertEqual(shown["format"], "safetensors")
        self.assertIn("auto_map", shown["own_code"])
        self.assertIn(b"auto_map", home.run("show", "coded").stdout)
        allowed = shown["own_code"].split('"')[1]
        self.assertEqual(
            home.json("show", folder, "--allow-code", allowed, "--json")["own_code"], None)
        page = home.folder / "page.gguf"
        page.write_text("<!DOCTYPE html><html>404</html>")
        self.assertIn("a web page", self.failure(home.run("show", page)))

    def test_names_cannot_speak_to_the_terminal(self):
        home = self.home()
        hostile = home.models / "a\x1b[31mb\nc.gguf"
        hostile.symlink_to(pathlib.Path(TINY).resolve())
        for verb in (["list"], ["doctor"], ["show", "a\x1b[31mb"]):
            done = home.run(*verb)
            self.assertNotIn(b"\x1b", done.stdout + done.stderr)


class MeasureTest(ProgramTest):
    def test_eval(self):
        home = self.home(models={"tiny": TINY})
        text = home.folder / "text.txt"
        text.write_text("All happy families are alike. " * 20)
        report = home.json("eval", "tiny", "--text", text, "--json", "--tokens", 200)
        self.assertEqual(report["windows"], 1)
        self.assertEqual(report["scored"], report["window_tokens"] - 1)
        self.assertGreater(report["perplexity"], 1)
        logits = home.folder / "logits"
        kl = home.json("eval", "tiny", "--text", text, "--json", "--tokens", 64, "--kl-to", "f32",
                       "--dump-logits", logits)
        self.assertGreaterEqual(kl["mean_kl"], 0)
        self.assertLessEqual(kl["same_argmax"], 1)
        values = logits.read_bytes()
        self.assertEqual(len(values), kl["scored"] * 272 * 4)
        self.assertTrue(all(map(lambda v: v == v, struct.unpack(f"<{len(values) // 4}f", values))))
        piped = home.run("eval", "tiny", "--text", text, "--json", "--tokens", 64, "--dump-logits",
                         "-")
        self.assertEqual(piped.stdout, values)
        self.assertEqual(json.loads(piped.stderr)["perplexity"], kl["perplexity"])
        self.assertIn("missing.txt", self.failure(
            home.run("eval", "tiny", "--text", home.folder / "missing.txt")))

    def test_the_instruction_set_changes_nothing(self):
        home = self.home(models={"tiny": TINY})
        text = home.folder / "text.txt"
        text.write_text("Every unhappy family is unhappy in its own way. " * 4)
        possible = home.json("doctor", "--json")["isas"]
        reports = [home.json("eval", "tiny", "--text", text, "--json", MINERVA_ISA=isa)
                   for isa in possible]
        if len(possible) < 2:
            print("NOT RUN: this processor has one instruction set only")
        for report in reports:
            self.assertEqual(report, reports[0])

    def test_bench(self):
        home = self.home(models={"tiny": TINY})
        report = home.json("bench", "tiny", "--json", "--threads", 1)
        self.assertGreater(report["prefill_512_tokens_per_s"], 0)
        self.assertGreater(report["decode_tokens_per_s"], 0)
        self.assertEqual(report["threads"], 1)
        self.assertIn(report["isa"], ("scalar", "avx2", "avx512"))

    def test_bench_refuses_what_it_would_drop(self):
        home = self.home(models={"tiny": TINY})
        error = self.failure(home.run("bench", "tiny", "--backends", "native,nativ"), code=2)
        self.assertIn('not "nativ"', error)
        error = self.failure(home.run("bench", "tiny", "--backends", "all", "--sequences", 2), code=2)
        self.assertIn("--sequences", error)


class MachineTest(ProgramTest):
    def test_doctor(self):
        home = self.home(models={"tiny": TINY})
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            facts = home.json("doctor", "--json", "--port", port)
        self.assertEqual(facts["models"], ["tiny"])
        self.assertIn(facts["isa"], facts["isas"])
        self.assertEqual(facts["port_state"], "another program")
        self.assertTrue(any(f"port {port} is taken" in p for p in facts["problems"]), facts)
        self.assertGreater(facts["memory_total_bytes"], facts["memory_available_bytes"])

    def test_config_typos(self):
        home = self.home(config='threads = 1\nprot = 80\n')
        for verb in (["list"], ["serve"], ["config"]):
            error = self.failure(home.run(*verb))
            self.assertIn('config.toml line 2: there is no setting "prot"; did you mean port?', error)
        self.assertIn("did you mean MINERVA_THREADS?",
                      self.failure(self.home().run("list", MINERVA_TREADS="2")))
        self.assertIn("prot", " ".join(home.json("doctor", "--json")["problems"]))

    def test_config_sources(self):
        home = self.home(config="threads = 1\nport = 1\nqueue = 7\n")
        settings = home.json("config", "--json", "--port", 3, MINERVA_THREADS="2")["settings"]
        self.assertEqual(settings["port"], {"value": 3, "source": "--port"})
        self.assertEqual(settings["threads"], {"value": 2, "source": "MINERVA_THREADS"})
        self.assertEqual(settings["queue"]["value"], 7)
        self.assertTrue(settings["queue"]["source"].endswith("config.toml line 3"))
        self.assertEqual(settings["host"], {"value": "127.0.0.1", "source": "default"})

    def test_an_impossible_instruction_set(self):
        home = self.home(models={"tiny": TINY})
        error = self.failure(home.run("bench", "tiny", MINERVA_ISA="mmx"))
        self.assertEqual(error, 'MINERVA_ISA: takes auto, scalar, avx2, avx512, not "mmx"')

    def test_a_reader_that_goes_away(self):
        """Standard output to a full device is an error, not a silence."""
        if not os.path.exists("/dev/full"):
            print("NOT RUN: this system has no /dev/full")
            return
        home = self.home(models={"tiny": TINY})
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program.BINARY, "list"], stdout=full, stderr=subprocess.PIPE,
                                  env=home.environment(), timeout=program.WAIT_MAX, check=False)
        self.assertIn("cannot write the output", self.failure(done))


if __name__ == "__main__":
    unittest.main()
