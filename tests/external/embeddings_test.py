"""all-MiniLM-L6-v2 served from its folder, through the stock openai client: its vectors are those of
sentence-transformers' method (tools/make_encoder_goldens.py made the expected ones). And llama.cpp's
server, which Minerva starts for a file that says how to pool."""

import json
import os
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cli"))

import program  # noqa: E402

try:
    import openai
except ImportError:
    program.not_run("PyPI openai is not installed (./dev test --all installs it)")

FOLDER = os.environ.get("MINERVA_SAMPLE_ALL_MINILM")
if not FOLDER:
    program.not_run("no MINERVA_SAMPLE_ALL_MINILM (./dev model all-minilm)")
LLAMA = os.environ.get("MINERVA_LLAMA_SERVER")
if not LLAMA:
    program.not_run("no MINERVA_LLAMA_SERVER")

DATA = ROOT / "tests" / "data" / "encoder"
TOLERANCE = 1e-4
LLAMA_TOLERANCE = 5e-3  # its keys and values are F16, too, and its sums run in another order


def distance(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


class AllMiniLm(program.ProgramTest):
    def serve(self, config=None):
        server = self.keep(program.Server(self.home(config=config), "--model", FOLDER))
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none")
        name = pathlib.Path(FOLDER).name
        return lambda **fields: client.embeddings.create(model=name, **fields)

    def test_vectors_are_those_of_sentence_transformers(self):
        # One of the texts is longer than the 256 tokens that sentence-transformers cuts off at.
        embed = self.serve(config='[models."all-minilm"]\ncontext = 512\n')
        cases = json.loads((DATA / "all_minilm_vectors.json").read_text())
        answer = embed(input=[case["text"] for case in cases])  # base64
        self.assertEqual(answer.usage.prompt_tokens, sum(len(case["ids"]) for case in cases))
        worst = 0
        for entry, case in zip(answer.data, cases, strict=True):
            off = distance(entry.embedding, case["vector"])
            self.assertLess(off, TOLERANCE, case["text"][:60])
            worst = max(worst, off)
        print(f"largest difference of a number: {worst:.2e}")
        as_ids = embed(encoding_format="float", input=[case["ids"] for case in cases])
        for a, b in zip(as_ids.data, answer.data, strict=True):
            self.assertLess(distance(a.embedding, b.embedding), 1e-7)

    def test_nearer_texts_have_nearer_vectors(self):
        texts = ["A cat sits on the mat.", "A kitten is resting on a rug.", "Interest rates rose."]
        answer = self.serve()(input=texts, dimensions=128)
        cat, kitten, rates = (entry.embedding for entry in answer.data)
        self.assertEqual(len(cat), 128)

        def cosine(a, b):
            return sum(x * y for x, y in zip(a, b))

        self.assertAlmostEqual(cosine(cat, cat), 1, places=5)
        self.assertGreater(cosine(cat, kitten), cosine(cat, rates) + 0.2)

    def test_what_is_too_long_is_refused_or_cut_off(self):
        embed = self.serve()
        with self.assertRaises(openai.BadRequestError) as raised:
            embed(input="long " * 600)
        self.assertIn("602 tokens, and the model takes 256", str(raised.exception))
        cut, whole = (embed(input="long " * count, extra_body={"truncate": True})
                      for count in (600, 254))
        self.assertEqual(cut.usage.prompt_tokens, 256)
        self.assertEqual(cut.data[0].embedding, whole.data[0].embedding)


class LlamaServer(program.ProgramTest):
    """What `convert` makes of a folder, on both engines."""

    def convert(self, folder, type_name):
        home = self.home(config=f'[backends.llama_cpp]\npath = "{LLAMA}"\ngpu_layers = 0\n')
        done = home.run("convert", folder, home.models / "made.gguf", "--type", type_name)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return self.keep(program.Server(home, "--model", "made"))

    def compare(self, server, cases, vector, tolerances):
        for backend, tolerance in tolerances.items():
            worst = 0
            for what in ("text", "ids"):
                status, answer = server.post("/v1/embeddings", model="made", backend=backend,
                                             input=[case[what] for case in cases])
                self.assertEqual(status, 200, answer)
                self.assertEqual(answer["minerva"]["backend"], backend)
                self.assertEqual(answer["usage"]["prompt_tokens"],
                                 sum(len(case["ids"]) for case in cases))
                worst = max([worst, *(distance(entry["embedding"], case[vector])
                                      for entry, case in zip(answer["data"], cases, strict=True))])
            print(f"{backend}: largest difference of a number: {worst:.2e}")
            self.assertLess(worst, tolerance, backend)

    def test_an_encoders_vectors(self):
        cases = json.loads((DATA / "all_minilm_vectors.json").read_text())
        short = [case for case in cases if len(case["ids"]) <= 256]
        self.assertGreater(len(short), 4)
        self.compare(self.convert(FOLDER, "f32"), short, "vector",
                     {"native": 1e-5, "llama_cpp": LLAMA_TOLERANCE})

    def test_a_decoders_vectors(self):
        server = self.convert(DATA / "decoder", "f16")
        cases = json.loads((DATA / "decoder_vectors.json").read_text())
        self.compare(server, cases, "last",
                     {"native": 1e-5, "llama_cpp": LLAMA_TOLERANCE})
        # Started for vectors, it makes no text.
        status, answer = server.post("/v1/completions", model="made", prompt="a",
                                     backend="llama_cpp")
        self.assertEqual(status, 400, answer)
        self.assertIn("makes only embeddings", answer["error"]["message"])


if __name__ == "__main__":
    unittest.main()
