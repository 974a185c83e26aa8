#!/usr/bin/env python3
"""How fast the engine is beside llama.cpp on this machine now: prefill of 512 tokens, decode of 64
after them, alone and for 16 sequences at once.

    python tools/compare_speed.py --minerva build/minerva [--pairs N] MODEL.gguf ...

Needs PyPI llama-cpp-python (0.3.36) and numpy. The two engines run by turns, so that a machine that
slows down slows both; medians over the turns, and the ratio's own spread. Beside them the machine's
limit for one sequence: bytes that it reads from memory in a second over those of the weights that
a token reads (of a mixture of experts only the chosen ones).
"""
import argparse
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import llama_cpp
import numpy as np

PROMPT = 512
NEW = 64
MANY = 16
ROUNDS = 3  # of llama.cpp in one turn; `minerva bench` has rounds of its own


def read_bandwidth(threads):
    """Bytes a second: the best of several passes over 256 MB a thread, far more than the caches."""
    parts = [np.ones(32 << 20, np.float64) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        def one_pass():
            start = time.perf_counter()
            list(pool.map(lambda part: float(np.dot(part, part)), parts))
            # The dot product of an array with itself reads it once.
            return sum(part.nbytes for part in parts) / (time.perf_counter() - start)
        return max(one_pass() for _ in range(8))


class LlamaCpp:
    """llama.cpp through its C interface: no sampling, no Python between the tokens of a step."""

    def __init__(self, model, threads):
        llama_cpp.llama_backend_init()
        quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
        self.quiet = quiet
        self.model = llama_cpp.llama_model_load_from_file(
            model.encode(), llama_cpp.llama_model_default_params())
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = PROMPT + MANY * NEW
        params.n_batch = params.n_ubatch = PROMPT
        params.n_seq_max = MANY
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(PROMPT, 0, 1)

    def decode(self, entries):
        """entries: (token, position, sequence, wants logits)"""
        self.batch.n_tokens = len(entries)
        for i, (token, position, sequence, logits) in enumerate(entries):
            self.batch.token[i] = token
            self.batch.pos[i] = position
            self.batch.n_seq_id[i] = 1
            self.batch.seq_id[i][0] = sequence
            self.batch.logits[i] = logits
        start = time.perf_counter()
        if llama_cpp.llama_decode(self.context, self.batch) != 0:
            sys.exit("llama_decode failed")
        llama_cpp.llama_synchronize(self.context)
        return time.perf_counter() - start

    def round(self, sequences):
        llama_cpp.llama_memory_clear(self.memory, True)
        tokens = [(i * 7919 + 13) % self.vocabulary for i in range(PROMPT)]  # as minerva bench
        prefill = self.decode([(t, i, 0, i == PROMPT - 1) for i, t in enumerate(tokens)])
        for s in range(1, sequences):
            llama_cpp.llama_memory_seq_cp(self.memory, 0, s, -1, -1)
        decode = sum(self.decode([(tokens[-1], PROMPT + i, s, True) for s in range(sequences)])
                     for i in range(NEW))
        return PROMPT / prefill, sequences * NEW / decode

    def measure(self, sequences):
        rounds = [self.round(sequences) for _ in range(ROUNDS)]
        return tuple(statistics.median(column) for column in zip(*rounds))


def minerva(options, model, sequences):
    command = [options.minerva, "bench", model, "--json", "--threads", str(options.threads),
               "--sequences", str(sequences)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return (report["prefill_512_tokens_per_s"], report["decode_tokens_per_s"],
            report["token_bytes"])


def compare(options, model):
    llama = LlamaCpp(model, options.threads)
    llama.round(1)  # warms its pages
    bandwidth = read_bandwidth(options.threads)
    ours, theirs = {}, {}
    token_bytes = 0
    for _ in range(options.pairs):
        for sequences in (1, MANY):
            prefill, decode, token_bytes = minerva(options, model, sequences)
            their_prefill, their_decode = llama.measure(sequences)
            if sequences == 1:
                ours.setdefault("prefill", []).append(prefill)
                theirs.setdefault("prefill", []).append(their_prefill)
            name = "decode" if sequences == 1 else f"decode of {MANY}"
            ours.setdefault(name, []).append(decode)
            theirs.setdefault(name, []).append(their_decode)
    limit = bandwidth / token_bytes
    result = {"model": pathlib.Path(model).name, "threads": options.threads,
              "pairs": options.pairs, "read_gb_per_s": bandwidth / 1e9,
              "token_bytes": token_bytes, "decode_limit": limit}
    for name, values in ours.items():
        ratios = sorted(a / b for a, b in zip(values, theirs[name]))
        result[name] = {"ours": statistics.median(values),
                        "llama_cpp": statistics.median(theirs[name]),
                        "ratio": statistics.median(ratios), "ratio_min": ratios[0],
                        "ratio_max": ratios[-1]}
    return result


def rows(result):
    for name in ("prefill", "decode", f"decode of {MANY}"):
        r = result[name]
        limit = f"{r['ours'] / result['decode_limit']:.0%}" if name == "decode" else ""
        yield (f"| {result['model']} | {name} | {r['ours']:.0f} | {r['llama_cpp']:.0f} | "
               f"{r['ratio']:.2f} ({r['ratio_min']:.2f} to {r['ratio_max']:.2f}) | {limit} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minerva", default="build/minerva")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    if not options.json:
        print("| model | what | tokens/s | llama.cpp | ratio (of pairs) | of the memory's limit |\n"
              "|---|---|---|---|---|---|")
    for model in options.models:
        result = compare(options, model)
        if options.json:
            print(json.dumps(result), flush=True)
            continue
        print("\n".join(rows(result)), flush=True)
        print(f"{result['model']}: memory read {result['read_gb_per_s']:.1f} GB/s, a token reads "
              f"{result['token_bytes'] / 1e6:.1f} MB: at most {result['decode_limit']:.0f} tokens/s",
              file=sys.stderr)


if __name__ == "__main__":
    main()
