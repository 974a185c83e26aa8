#!/usr/bin/env python3
"""Megabytes of English a second on one core: our tokenizer (text_bench) and PyPI `tokenizers`, with
the vocabulary of Llama 3, in turns.

    compare_tokenizer_speed.py BUILD/src/text/text_bench TEXT [ROUNDS]

Counted is processor time, so that other work on the machine does little harm. Needs PyPI `gguf` and
`tokenizers`.
"""
import json
import os
import pathlib
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from gguf import GGUFReader
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

import make_tokenizer_goldens as goldens

ROOT = pathlib.Path(__file__).resolve().parent.parent
VOCABULARY = ROOT / "tests" / "data" / "vocab" / "ggml-vocab-llama-bpe.gguf"


def reference():
    fields = GGUFReader(VOCABULARY).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(line.split(" ")) for line in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({text: i for i, text in enumerate(tokens)}, merges,
                                     ignore_merges=True))
    expression = goldens.PRE_TOKENIZERS["llama-bpe"][0]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(expression), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


def ours(bench, text):
    out = subprocess.run(
        [bench, "--benchmark_filter=^english_text/llama_bpe$", "--benchmark_format=json",
         "--benchmark_min_time=1"], check=True, capture_output=True, text=True,
        env={**os.environ, "MINERVA_BENCH_TEXT": text}).stdout
    return json.loads(out)["benchmarks"][0]["bytes_per_second"] / 1e6


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    bench, path = sys.argv[1:3]
    text = pathlib.Path(path).read_text(errors="replace")
    tokenizer = reference()
    # Both ways that people use it: documents of a page, and all at once.
    pages = [text[i:i + 4000] for i in range(0, len(text), 4000)]
    for _ in range(int(sys.argv[3]) if len(sys.argv) == 4 else 3):
        speeds = {}
        for name, parts in (("a page at a time", pages), ("all at once", [text])):
            start = time.process_time()
            for part in parts:
                tokenizer.encode(part, add_special_tokens=False)
            speeds[name] = len(text.encode()) / 1e6 / (time.process_time() - start)
        print(f"Minerva {ours(bench, path):.1f} MB/s; tokenizers " +
              ", ".join(f"{speed:.1f} MB/s {name}" for name, speed in speeds.items()), flush=True)


if __name__ == "__main__":
    main()
