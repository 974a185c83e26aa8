"""Folders that mlx-lm makes of the tiny models of tests/data/hf, as they are and quantised: mlx-lm's own
names (switch_mlp, gpt_oss) and layouts, with the logits that mlx-lm itself computes in float32."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "cli"), str(ROOT / "tools")]

import program  # noqa: E402
import tiny_folder  # noqa: E402

PYTHON = os.environ.get("MINERVA_MLX_PYTHON")
if not PYTHON:
    program.not_run("MINERVA_MLX_PYTHON is not set")

TOKENS = 64
# Where mlx-lm leaves out what transformers has (windows of gemma2, starcoder2 and phi3; the short
# factors of longrope), so few tokens that it does not matter.
FEW_TOKENS = {"gemma2": 16, "starcoder2": 16, "olmo3": 16, "phi3_window": 16}
# Whose YaRN mlx-lm computes otherwise than transformers: the ramp's ends rounded, the factor of the
# attention left out. Compared without it.
WITHOUT_YARN = ("olmo3", "gpt_oss_mxfp4")
CHILD = """
import json, sys
import mlx.core as mx, mlx_lm, numpy as np
from mlx_lm.convert import convert
mx.set_default_device(mx.cpu)
source, made, logits, ids, how = sys.argv[1:]
convert(source, made, **json.loads(how))
model, _ = mlx_lm.load(made)
model.set_dtype(mx.float32)
np.save(logits, np.array(model(mx.array([json.loads(ids)])).astype(mx.float32))[0])
"""
# What mlx-lm makes of weights: as they are, and affine quantisation. A group must divide a row, and
# mlx-lm leaves out the others; those of 32 do in all of these models but the ones of width 48.
KINDS = {
    "as it is": {},
    "8 bits": {"quantize": True, "q_bits": 8, "q_group_size": 32},
    "4 bits": {"quantize": True, "q_bits": 4, "q_group_size": 32},
    "4 bits, F32 scales": {"quantize": True, "q_bits": 4, "q_group_size": 32, "dtype": "float32"},
    "4 bits, F16 scales": {"quantize": True, "q_bits": 4, "q_group_size": 32, "dtype": "float16"},
    "3 bits": {"quantize": True, "q_bits": 3, "q_group_size": 32},
    "mxfp4": {"quantize": True, "q_bits": 4, "q_group_size": 32, "q_mode": "mxfp4"},
}
# Every family that mlx-lm has and the folders of tests/data/hf show; all kinds of some.
EVERY_KIND = ("llama_llama3", "qwen3_moe", "gpt_oss_mxfp4")
OTHERS = ("llama_bias", "ministral3", "qwen2", "qwen3", "gemma2", "gemma3", "phi3_window", "granite",
          "command_r", "cohere2", "olmo2", "olmo3", "smollm3", "stablelm", "starcoder2", "glm4",
          "mixtral", "qwen2_moe", "qwen3_next", "qwen3_5_moe", "internlm2")


class MlxFolders(unittest.TestCase):
    def setUp(self):
        self.home = program.Home()
        self.addCleanup(self.home.close)

    def compare(self, name, kind):
        work = self.home.folder / f"{name}-{kind.replace(' ', '-')}"
        work.mkdir()
        text, ids = tiny_folder.copy_with_tokenizer(ROOT / "tests/data/hf" / name, work / "hf",
                                                    FEW_TOKENS.get(name, TOKENS))
        if name in WITHOUT_YARN:
            path = work / "hf" / "config.json"
            config = json.loads(path.read_text())
            for key in ("rope_scaling", "rope_parameters"):
                theta = (config.pop(key, None) or {}).get("rope_theta")
                if theta is not None:
                    config["rope_theta"] = theta
            path.write_text(json.dumps(config))
        made = work / "mlx"
        done = subprocess.run(
            [PYTHON, "-c", CHILD, work / "hf", made, work / "theirs.npy", json.dumps(ids),
             json.dumps(KINDS[kind])],
            check=False, capture_output=True, text=True, timeout=program.WAIT_MAX,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"})
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        theirs = np.load(work / "theirs.npy")[:-1]
        (work / "text.txt").write_text(text)
        self.home.json("eval", made, "--text", work / "text.txt", "--numerics", "f32", "--dump-logits",
                       work / "ours.bin", "--json")
        ours = np.fromfile(work / "ours.bin", "<f4").reshape(theirs.shape)
        error = np.abs(ours - theirs).max() / np.abs(theirs).max()
        print(f"{name}, {kind}: worst difference {error:.1e} of the largest |logit|", flush=True)
        self.assertLess(error, 1e-3)

    def test_families(self):
        for name in OTHERS:
            with self.subTest(name):
                self.compare(name, "4 bits")

    def test_kinds(self):
        for name in EVERY_KIND:
            for kind in KINDS:
                with self.subTest(f"{name}, {kind}"):
                    self.compare(name, kind)


if __name__ == "__main__":
    unittest.main()
