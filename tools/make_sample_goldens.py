#!/usr/bin/env python3
"""Makes tests/data/arch/NAME_first200.txt: a digest of both sample models' float32 logits over the
first 200 tokens of tests/data/arch/sample_text.txt.

    python tools/make_sample_goldens.py OUT_DIR NAME=MODEL.gguf ...

Needs PyPI gguf (made with 0.19.0) and llama-cpp-python (0.3.36), which only turns the text into ids.
The logits are those of reference_model.py. One line a position:

    token, log-sum-exp, largest |logit|, 8 pairs of id and logit (the largest first), 4 such pairs
    of random ids

The first line holds the numbers of positions and of the vocabulary. What float32 itself loses
(against float64) is printed.
"""
import pathlib
import sys

import llama_cpp
import numpy as np

from reference_model import ReferenceModel

POSITIONS = 200
TOP = 8
RANDOM = 4


def token_ids(model, text):
    vocabulary = llama_cpp.Llama(model, vocab_only=True, verbose=False)
    adds_bos = vocabulary.metadata.get("tokenizer.ggml.add_bos_token", "true") == "true"
    if vocabulary.metadata["tokenizer.ggml.model"] == "gpt2":
        adds_bos = vocabulary.metadata.get("tokenizer.ggml.add_bos_token") == "true"
    ids = vocabulary.tokenize(text.encode(), add_bos=adds_bos, special=False)
    if len(ids) < POSITIONS:
        sys.exit(f"the text has only {len(ids)} tokens")
    return ids[:POSITIONS]


def digest(ids, logits):
    rng = np.random.default_rng(1)
    lines = [f"{POSITIONS} {logits.shape[1]}"]
    for token, row in zip(ids, logits):
        wide = row.astype(np.float64)
        lse = wide.max() + np.log(np.exp(wide - wide.max()).sum())
        top = np.argsort(-row, kind="stable")[:TOP]
        kept = [*top, *rng.integers(0, row.size, RANDOM)]
        pairs = " ".join(f"{i} {row[i]:.9g}" for i in kept)
        lines.append(f"{token} {lse:.9g} {np.abs(row).max():.9g} {pairs}")
    return "\n".join(lines) + "\n"


def main():
    folder = pathlib.Path(sys.argv[1])
    text = (folder / "sample_text.txt").read_text(encoding="utf-8")
    for argument in sys.argv[2:]:
        name, model = argument.split("=", 1)
        ids = token_ids(model, text)
        logits = ReferenceModel(model).logits(ids)
        wide = ReferenceModel(model, np.float64).logits(ids)
        half = ReferenceModel(model, half_kv=True).logits(ids)
        largest = np.abs(wide).max(axis=1)
        print(f"{name}: float32 loses {(np.abs(logits - wide).max(axis=1) / largest).max():.1e} of "
              "a position's largest |logit|, a half-precision cache "
              f"{(np.abs(half - wide).max(axis=1) / largest).max():.1e}")
        (folder / f"{name}_first200.txt").write_text(digest(ids, logits), encoding="utf-8")


if __name__ == "__main__":
    main()
