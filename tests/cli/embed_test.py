"""Vectors from the program: `minerva embed`, and POST /v1/embeddings as its clients see it."""

import base64
import json
import math
import struct
import unittest

import program
from program import ProgramTest, Server

TINY = program.tiny_model()  # a decoder


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


if __name__ == "__main__":
    unittest.main()
