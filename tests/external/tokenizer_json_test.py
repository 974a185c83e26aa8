"""Long random texts through model folders' tokenizers, against PyPI `tokenizers`: freshly trained ones
of every kind that is read, and the sample folders where they are."""

import json
import os
import pathlib
import random
import struct
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "cli"), str(ROOT / "tools")]

import program  # noqa: E402

try:
    from tokenizers import Tokenizer
except ImportError:
    program.not_run("PyPI tokenizers is not installed (./dev test --all installs it)")

import make_tokenizer_json_goldens as kinds  # noqa: E402

PARTS = 4000  # of a text; some 20,000 characters
SEEDS = (1, 2, 3)


def write_model(folder, tokenizer):
    """As little as makes a folder a model."""
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


class TokenizerJson(program.ProgramTest):
    def compare(self, home, folder, *flags):
        reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
        for seed in SEEDS:
            # Not with a BOS in front, after which we add none: the reference does.
            text = "a" + kinds.mixed_text(random.Random(seed), PARTS)
            ids = home.json("tokenize", folder, "--parse-special", *flags, stdin=text)
            wanted = reference.encode(text, add_special_tokens=bool(flags)).ids
            at = next((i for i, pair in enumerate(zip(ids, wanted)) if pair[0] != pair[1]),
                      min(len(ids), len(wanted)))
            self.assertEqual(ids[at:at + 8], wanted[at:at + 8], f"{folder}, seed {seed}, id {at}")
            self.assertEqual(len(ids), len(wanted))
            self.assertGreater(len(ids), PARTS * 3 // 4)  # some take several words as one

    def test_trained_ones(self):
        home = self.home()
        for number, (name, tokenizer) in enumerate(kinds.kinds().items()):
            folder = home.folder / f"kind{number}"
            write_model(folder, tokenizer)
            with self.subTest(name):
                self.compare(home, folder)
                self.compare(home, folder, "--add-special")

    def test_sample_folders(self):
        home = self.home()
        compared = 0
        for variable in ("SMOLLM2_HF", "SMOLLM2_MLX", "TINY_MLX"):
            path = os.environ.get(f"MINERVA_SAMPLE_{variable}")
            if path:
                self.compare(home, pathlib.Path(path))
                compared += 1
        if compared == 0:
            print("NOT RUN: no MINERVA_SAMPLE_SMOLLM2_HF, ..._SMOLLM2_MLX or ..._TINY_MLX")
            self.skipTest("no sample folder")


if __name__ == "__main__":
    unittest.main()
