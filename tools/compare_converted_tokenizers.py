#!/usr/bin/env python3
"""Tokenizers that `minerva convert` writes, in llama.cpp: every kind of tests/data/text/
tokenizer_json.json that GGUF has words for, with the ids that PyPI `tokenizers` gives.

    compare_converted_tokenizers.py --minerva build/minerva [--with FOLDER...]

Needs PyPI llama-cpp-python and numpy. --with: folders with a tokenizer.json and texts.json, a list of
[text, ids]. Texts that a note of `convert` is about are counted apart: those that begin or end with
white space, and those that are not in NFC.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import tempfile
import unicodedata

import llama_cpp
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
WIDTH = 32


def write_weights(path, tensors):
    """A safetensors file of F32."""
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text +
                     b"".join(values.astype("<f4").tobytes() for values in tensors.values()))


def make_folder(folder, tokenizer):
    """A llama of one layer around the tokenizer."""
    folder.mkdir(exist_ok=True)
    rows = 1 + max([*(tokenizer["model"]["vocab"].values() if isinstance(
        tokenizer["model"]["vocab"], dict) else [len(tokenizer["model"]["vocab"]) - 1]),
        *(token["id"] for token in tokenizer["added_tokens"])])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps(
        {"model_type": "llama", "hidden_size": WIDTH, "intermediate_size": WIDTH,
         "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
         "rms_norm_eps": 1e-5, "max_position_embeddings": 512, "hidden_act": "silu",
         "tie_word_embeddings": True}))
    square = np.zeros((WIDTH, WIDTH), np.float32)
    layer = "model.layers.0."
    write_weights(folder / "model.safetensors", {
        "model.embed_tokens.weight": np.zeros((rows, WIDTH), np.float32),
        "model.norm.weight": np.ones(WIDTH, np.float32),
        layer + "input_layernorm.weight": np.ones(WIDTH, np.float32),
        layer + "post_attention_layernorm.weight": np.ones(WIDTH, np.float32),
        **{layer + f"self_attn.{part}_proj.weight": square for part in "qkvo"},
        **{layer + f"mlp.{part}_proj.weight": square for part in ("gate", "up", "down")}})


def compare(program, name, tokenizer, texts, work):
    for token in tokenizer["added_tokens"]:
        token["lstrip"] = token["rstrip"] = token["single_word"] = False
    make_folder(work / "folder", tokenizer)
    out = work / "out.gguf"
    done = subprocess.run([program, "convert", work / "folder", out, "--force", "--json"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{name}: not written: {done.stderr.strip()[:160]}", flush=True)
        return
    try:
        model = llama_cpp.Llama(model_path=str(out), vocab_only=True, verbose=False)
    except ValueError as problem:
        print(f"{name}: llama.cpp does not load it: {problem}", flush=True)
        return
    flags = ("<left>", "<right>", "<both>")
    same = wrong = odd = 0
    first = ""
    for text, ids in texts:
        if any(flag in text for flag in flags):
            continue  # their white space was taken from them above
        got = model.tokenize(text.encode(), add_bos=False, special=True)
        if got == ids:
            same += 1
        elif text != text.strip() or unicodedata.normalize("NFC", text) != text:
            odd += 1
        else:
            wrong += 1
            first = first or f"; first: {text!r}\n    {ids}\n    {got}"
    words = json.loads(done.stdout)
    print(f"{name}: {same} same, {wrong} others, {odd} others of noted texts{first}"
          f"{' (notes: ' + str(len(words['notes'])) + ')' if words['notes'] else ''}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minerva", required=True)
    parser.add_argument("--with", dest="folders", nargs="*", default=[], type=pathlib.Path)
    arguments = parser.parse_args()
    goldens = json.loads((ROOT / "tests/data/text/tokenizer_json.json").read_text())
    with tempfile.TemporaryDirectory() as made:
        work = pathlib.Path(made)
        for case in goldens["cases"]:
            compare(arguments.minerva, case["name"], case["tokenizer"],
                    list(zip(goldens["texts"], case["ids"])), work)
        for folder in arguments.folders:
            compare(arguments.minerva, folder.name,
                    json.loads((folder / "tokenizer.json").read_text()),
                    json.loads((folder / "texts.json").read_text()), work)


if __name__ == "__main__":
    main()
