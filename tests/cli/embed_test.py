"""Vectors from the program: `minerva embed`, and POST /v1/embeddings as its clients see it."""

import base64
import json
import math
import shutil
import struct
import unittest

import program
from program import ProgramTest, Server

TINY = program.tiny_model()  # a decoder
DATA = program.ROOT / "tests" / "data" / "encoder"  # tools/make_encoder_goldens.py
TOLERANCE = 1e-5


def lines(done):
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def length(vector):
    return math.sqrt(sum(x * x for x in vector))


class EmbedTest(ProgramTest):
    def test_a_decoders_texts(self):
        home = self.home(models={"tiny": TINY})
        one, two = lines(home.run("embed", "tiny", "first text", "second"))
        self.assertAlmostEqual(length(one), 1, places=6)
        self.assertNotEqual(one, two)
        self.assertEqual(lines(home.run("embed", "tiny", stdin="second\nfirst text\n")), [two, one])
        short, = lines(home.run("embed", "tiny", "--dimensions", 8, "second"))
        self.assertEqual(len(short), 8)
        self.assertAlmostEqual(length(short), 1, places=6)
        self.assertIn("dimensions is 100000, and the model's vectors have",
                      self.failure(home.run("embed", "tiny", "--dimensions", 100000, "x")))
        self.assertIn("there is no text", self.failure(home.run("embed", "tiny")))

    def test_a_server(self):
        server = self.keep(Server(self.home(models={"tiny": TINY}), "--model", "tiny"))

        def ask(body):
            return server.post("/v1/embeddings", model="tiny", **body)

        status, many = ask({"input": [f"text {i}" for i in range(70)]})
        self.assertEqual(status, 200, many)
        self.assertEqual([entry["index"] for entry in many["data"]], list(range(70)))
        status, one = ask({"input": "text 69"})
        self.assertEqual(one["data"][0]["embedding"], many["data"][69]["embedding"])
        status, packed = ask({"input": "text 69", "encoding_format": "base64"})
        raw = base64.b64decode(packed["data"][0]["embedding"])
        floats = list(struct.unpack(f"<{len(raw) // 4}f", raw))
        for a, b in zip(floats, one["data"][0]["embedding"], strict=True):
            self.assertEqual(a, struct.unpack("f", struct.pack("f", b))[0])
        self.assertEqual(one["usage"]["prompt_tokens"], one["usage"]["total_tokens"])
        for wrong, word in [({"input": []}, "empty"), ({"input": [""]}, "input 0 of 1"),
                            ({"input": ["x"] * 2049}, "2049"), ({"input": [[10**6]]}, "1000000")]:
            status, answer = ask(wrong)
            self.assertEqual(status, 400, answer)
            self.assertIn(word, answer["error"]["message"])

    def check_vectors(self, folder, cases, pooling, tolerance=TOLERANCE):
        vectors = lines(self.home().run("embed", folder, *[case["text"] for case in cases]))
        for vector, case in zip(vectors, cases, strict=True):
            off = max(abs(a - b) for a, b in zip(vector, case[pooling], strict=True))
            self.assertLess(off, tolerance, f"{pooling} of {case['text'][:40]}")

    def test_an_encoders_folder_is_equal_to_sentence_transformers(self):
        home = self.home()
        cases = json.loads((DATA / "tiny_vectors.json").read_text())
        self.check_vectors(DATA / "tiny", cases, "vector")
        refused = self.failure(home.run("embed", DATA / "tiny", "the cat " * 30))
        self.assertRegex(refused, r"has \d+ tokens, and the model takes 40 at most")
        long, short = lines(home.run("embed", DATA / "tiny", "--truncate", "the cat " * 30,
                                     "the cat " * 19))  # 38 words between [CLS] and [SEP]
        self.assertEqual(long, short)
        shown = home.json("show", DATA / "tiny", "--json")
        self.assertEqual(shown["unsupported"], [])
        self.assertEqual(shown["context"], 40)
        self.assertIn("makes only embeddings",
                      self.failure(home.run("run", DATA / "tiny", stdin="x")))

    def test_positions_of_roberta_begin_behind_those_of_padding(self):
        cases = json.loads((DATA / "xlmr_vectors.json").read_text())
        self.check_vectors(DATA / "xlmr", cases, "vector")
        # "cat " 39 times, <s> and </s>: one more than the rows that are left.
        self.assertIn("has 41 tokens, and the model takes 40 at most", self.failure(
            self.home().run("embed", DATA / "xlmr", "cat " * 38 + "cat")))

    def assert_makes_no_text_without_output(self, tied, cases):
        folder = self.home().models / "untied"
        shutil.copytree(tied, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
        self.check_vectors(folder, cases, "cls")
        home = self.home()
        converted = home.models / "untied.gguf"
        self.assertEqual(home.run("convert", folder, converted).returncode, 0)
        for path in (folder, converted):
            for isolation in ("none", "process"):
                answer = home.run("run", "--isolation", isolation, path, stdin="x")
                self.assertIn("makes only embeddings", self.failure(answer))
        self.assertEqual(home.run("run", tied, "--max-tokens", "4", stdin="x").returncode, 0)

    def test_a_decoders_folder_pools_as_it_says(self):
        cases = json.loads((DATA / "decoder_vectors.json").read_text())
        folder = self.home().models / "decoder"
        shutil.copytree(DATA / "decoder", folder)
        for pooling, mode in [("last", "lasttoken"), ("mean", "mean_tokens"), ("cls", "cls_token")]:
            (folder / "1_Pooling" / "config.json").write_text(
                json.dumps({f"pooling_mode_{mode}": True}))
            self.check_vectors(folder, cases, pooling)
        self.assert_makes_no_text_without_output(folder, cases)
        home = self.home()
        # Its end token counts, and sentence_bert_config.json has the limit.
        shown = home.run("embed", folder, "a" * 400)
        self.assertIn("has 401 tokens; the model takes 400 at most", self.failure(shown))
        for isolation in ("none", "process"):
            long, short = lines(home.run("embed", folder, "--truncate", "--isolation", isolation,
                                         "a" * 450, "a" * 399))
            self.assertEqual(long, short)


if __name__ == "__main__":
    unittest.main()
