"""The model folders that tools/make_hf_model.py and mlx_lm make of a GGUF are that GGUF: MLX computes
with them what our plain reference in numpy computes with the file itself."""

import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "cli")]

import program  # noqa: E402

# Run by the Python that has MLX. For each position the cosine between both rows of logits, and
# whether the best tokens agree.
COMPARE = """
import sys
sys.path.insert(0, sys.argv[1])
import mlx.core as mx, mlx_lm, numpy as np
from reference_model import ReferenceModel
model, tokenizer = mlx_lm.load(sys.argv[3])
ids = tokenizer.encode("The capital of France is Paris. The capital of Germany is")
got = np.array(model(mx.array([ids])).astype(mx.float32))[0]
wanted = ReferenceModel(sys.argv[2]).logits(ids)
got -= got.mean(axis=1, keepdims=True)
wanted -= wanted.mean(axis=1, keepdims=True)
lengths = np.linalg.norm(got, axis=1) * np.linalg.norm(wanted, axis=1)
print(tokenizer.decode(int(got[-1].argmax())).strip(), ((got * wanted).sum(axis=1) / lengths).min(),
      len(ids))
"""

# bfloat16 (8 bits of mantissa) and 8-bit weights gave 0.9992 and more; rows of the queries and keys
# left in the GGUF's order give under 0.9.
COSINE_MIN = 0.998


PYTHON = os.environ.get("MINERVA_MLX_PYTHON")
FOLDERS = [os.environ.get(f"MINERVA_SAMPLE_SMOLLM2_{kind}") for kind in ("HF", "MLX")]
if not PYTHON or not all(FOLDERS):
    program.not_run("MINERVA_MLX_PYTHON and the folders of SmolLM2 are not set")
MODEL = program.sample_model("MINERVA_SAMPLE_SMOLLM2")


class MadeModels(unittest.TestCase):
    def test_smollm2(self):
        for folder in FOLDERS:
            done = subprocess.run(
                [PYTHON, "-c", COMPARE, str(ROOT / "tools"), MODEL, folder], check=False,
                capture_output=True, text=True, timeout=280,
                env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"})
            self.assertEqual(done.returncode, 0, done.stderr)
            word, cosine, positions = done.stdout.split()
            print(folder, word, cosine, positions)
            self.assertEqual(word, "Berlin")
            self.assertGreater(float(cosine), COSINE_MIN)


if __name__ == "__main__":
    unittest.main()
