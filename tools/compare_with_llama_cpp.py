#!/usr/bin/env python3
"""Model folders converted by Minerva and computed by llama.cpp: does each file say to another program
what the folder said to ours?

    compare_with_llama_cpp.py --minerva build/minerva FOLDER...

Needs PyPI llama-cpp-python, gguf and numpy. For each folder and each of the types F32, F16, BF16,
Q8_0 and Q4_0, `minerva convert` writes a file; Minerva computes it in float32 (`eval --numerics f32`),
and llama.cpp computes what the PyPI package gguf makes of the same file's blocks, in float32 as well,
so that no arithmetic on 8-bit activations hides a mistake. Printed is the worst difference of any
logit at any position, of the largest |logit|. A folder without a tokenizer gets one of letters.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import tempfile

import gguf
import llama_cpp
import numpy as np

import tiny_folder

TYPES = ["f32", "f16", "bf16", "q8_0", "q4_0"]
TOKENS = 320


def prepare(folder, work):
    """A copy with a tokenizer, and a text."""
    copy = work / folder.name
    if not (folder / "tokenizer.json").exists():
        config = json.loads((folder / "config.json").read_text())
        tokens = min(TOKENS, config.get("text_config", config)["max_position_embeddings"] - 8)
        return copy, tiny_folder.copy_with_tokenizer(folder, copy, tokens)[0]
    shutil.copytree(folder, copy)
    return copy, "The capital of France is Paris, and that of Germany is Berlin. " * 5


def as_floats(source, out):
    """The same file with every tensor in F32, by the package gguf."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(out, reader.get_field("general.architecture").contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=sub)
    for tensor in reader.tensors:
        floats = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, floats.reshape([int(n) for n in reversed(tensor.shape)])
                          .astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def theirs(path, tokens):
    model = llama_cpp.Llama(model_path=str(path), n_ctx=len(tokens) + 8, n_batch=len(tokens) + 8,
                            n_ubatch=len(tokens) + 8, logits_all=True, n_threads=1, verbose=False,
                            type_k=0, type_v=0, flash_attn=False)
    model.eval(tokens)
    return np.array(model.scores[:len(tokens)], dtype=np.float32)


def minerva(program, *arguments, stdin=None):
    done = subprocess.run([program, *map(str, arguments)], input=stdin, capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def ours(program, path, text, tokens, work):
    (work / "text.txt").write_text(text)
    dump = work / "logits.bin"
    minerva(program, "eval", path, "--text", work / "text.txt", "--numerics", "f32",
            "--dump-logits", dump, "--context", len(tokens) + 8, "--json")
    return np.fromfile(dump, "<f4").reshape(len(tokens) - 1, -1)


def compare(program, folder):
    row = []
    with tempfile.TemporaryDirectory() as made:
        work = pathlib.Path(made)
        copy, text = prepare(folder, work)
        for kind in TYPES:
            file, floats = work / f"{kind}.gguf", work / f"{kind}-floats.gguf"
            try:
                minerva(program, "convert", copy, file, "--type", kind)
                as_floats(file, floats)
                tokens = json.loads(minerva(program, "tokenize", file, stdin=text))
                a = ours(program, file, text, tokens, work)
                b = theirs(floats, tokens)[:len(a)]
                row.append(f"{np.abs(a - b).max() / np.abs(b).max():.1e}")
            except (RuntimeError, ValueError) as problem:
                row.append(str(problem)[:200])
                break
            finally:
                file.unlink(missing_ok=True)
                floats.unlink(missing_ok=True)
    print(f"| {folder.name} | " + " | ".join(row) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minerva", required=True)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    print("| folder | " + " | ".join(TYPES) + " |\n|" + "---|" * (len(TYPES) + 1))
    for folder in arguments.folders:
        compare(arguments.minerva, folder)


if __name__ == "__main__":
    main()
