#!/usr/bin/env python3
"""How well the engine predicts a text beside llama.cpp, both against our own float32 run on the same
ids (docs/quality.md has the figures and how to read them).

    python tools/compare_quality.py --minerva build/minerva [--windows N] MODEL.gguf ...

Needs PyPI llama-cpp-python (0.3.36) and numpy. Windows of 512 tokens, the second half of each
scored, as `minerva eval --windows` cuts them. Logits come through pipes, a window at a time, so that
memory stays at a few times a window's logits. Prints a table, or with --json an object a line.
"""
import argparse
import hashlib
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import llama_cpp
import numpy as np

WINDOW = 512
SCORED = WINDOW // 2
ROWS = 16  # compared at a time, in float64

LICENCES = pathlib.Path("/usr/share/common-licenses")
LICENCE_NAMES = ["CC0-1.0", "GPL-3"]
TOPIC_CHARACTERS = 75_000


def default_text():
    """English that every Debian machine has: two licences, then the topics of Python's own help. Its
    sha256 is part of every result, since both change with the system's versions."""
    parts = [(LICENCES / name).read_text(encoding="utf-8") for name in LICENCE_NAMES]
    topics = importlib.import_module("pydoc_data.topics").topics
    help_text = "\n\n".join(topics[key] for key in sorted(topics))
    return "\n\n".join([*parts, help_text[:TOPIC_CHARACTERS]])


class Reference:
    """What float32 says at some positions: [n][vocabulary]."""

    def __init__(self, logits):
        self.logits = logits.astype(np.float64)
        largest = self.logits.max(axis=1, keepdims=True)
        self.probabilities = np.exp(self.logits - largest)
        sums = self.probabilities.sum(axis=1, keepdims=True)
        self.probabilities /= sums
        self.log_sums = (largest + np.log(sums))[:, 0]
        self.choices = self.logits.argmax(axis=1)


class Tally:
    """One engine's results over all windows."""

    def __init__(self):
        self.nll, self.kl, self.same = [], [], []

    def add(self, logits, reference, targets):
        """Rows of logits [n][vocabulary] and the tokens that came."""
        ours = logits.astype(np.float64)
        largest = ours.max(axis=1)
        log_sums = largest + np.log(np.exp(ours - largest[:, None]).sum(axis=1))
        self.nll.extend(log_sums - ours[np.arange(len(ours)), targets])
        mean_difference = np.einsum("ij,ij->i", reference.probabilities, reference.logits - ours)
        self.kl.extend(mean_difference - (reference.log_sums - log_sums))
        self.same.extend(ours.argmax(axis=1) == reference.choices)

    def perplexity(self):
        return float(np.exp(np.mean(self.nll)))


class Ours:
    """A `minerva eval` whose logits come through a pipe."""

    def __init__(self, options, model, text, tokens, numerics):
        command = [options.minerva, "eval", model, "--text", text, "--windows", "--context",
                   str(WINDOW), "--tokens", str(tokens), "--dump-logits", "-", "--json",
                   "--threads", str(options.threads)]
        environment = dict(os.environ, MINERVA_NUMERICS=numerics)
        self.errors = tempfile.TemporaryFile()
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors,
                                      env=environment)

    def window(self, vocabulary):
        wanted = SCORED * vocabulary * 4
        data = self.child.stdout.read(wanted)
        if len(data) != wanted:
            self.child.wait()
            self.errors.seek(0)
            sys.exit(f"minerva eval ended after {len(data)} of {wanted} bytes of a window: "
                     + self.errors.read().decode(errors="replace"))
        return np.frombuffer(data, np.float32).reshape(SCORED, vocabulary)

    def finish(self):
        """Its own report, to be held against what was computed here from its logits."""
        if self.child.stdout.read() != b"" or self.child.wait() != 0:
            sys.exit("minerva eval wrote more logits than were asked for, or failed")
        self.errors.seek(0)
        return json.loads(self.errors.read().decode().strip().split("\n")[-1])


def token_ids(options, model, text):
    with open(text, "rb") as file:
        out = subprocess.run([options.minerva, "tokenize", model], stdin=file, check=True,
                             capture_output=True)
    return json.loads(out.stdout)


def compare(options, model, text):
    llama = llama_cpp.Llama(model, n_ctx=WINDOW, n_batch=WINDOW, n_ubatch=WINDOW, logits_all=True,
                            n_threads=options.threads, n_threads_batch=options.threads,
                            verbose=False)
    ids = token_ids(options, model, text)
    vocabulary = llama.n_vocab()
    first = [llama.token_bos()] if llama_cpp.llama_vocab_get_add_bos(llama._model.vocab) else []
    length = WINDOW - len(first)
    count = min(options.windows, len(ids) // length)
    exact = Ours(options, model, text, count * length, "exact")
    f32 = Ours(options, model, text, count * length, "f32")
    ours, theirs, reference = Tally(), Tally(), Tally()
    for w in range(count):
        window = first + ids[w * length:(w + 1) * length]
        targets = np.array(window[WINDOW - SCORED:])
        expected = f32.window(vocabulary)
        found = exact.window(vocabulary)
        llama.reset()
        llama.eval(window)
        # The logits at p - 1 predict the token at p.
        scores = llama.scores[WINDOW - SCORED - 1:WINDOW - 1]
        for i in range(0, SCORED, ROWS):
            rows = slice(i, i + ROWS)
            at = Reference(expected[rows])
            ours.add(found[rows], at, targets[rows])
            theirs.add(scores[rows], at, targets[rows])
            reference.add(expected[rows], at, targets[rows])
        if sys.stderr.isatty():
            print(f"\r{w + 1} of {count} windows", end="", file=sys.stderr)
    for tally, child in ((ours, exact), (reference, f32)):
        reported = child.finish()["perplexity"]
        if abs(reported / tally.perplexity() - 1) > 1e-4:
            sys.exit(f"minerva reports a perplexity of {reported}, its logits one of "
                     f"{tally.perplexity()}: not the same windows")
    return {
        "model": pathlib.Path(model).name, "tokens": count * length, "scored": len(ours.kl),
        "kl_mean": float(np.mean(ours.kl)), "kl_worst": float(np.max(ours.kl)),
        "same_choice": float(np.mean(ours.same)), "perplexity": ours.perplexity(),
        "llama_cpp_kl_mean": float(np.mean(theirs.kl)),
        "llama_cpp_kl_worst": float(np.max(theirs.kl)),
        "llama_cpp_same_choice": float(np.mean(theirs.same)),
        "llama_cpp_perplexity": theirs.perplexity(), "f32_perplexity": reference.perplexity(),
        "kl_ratio": float(np.mean(ours.kl) / np.mean(theirs.kl)),
        "perplexity_ratio": ours.perplexity() / theirs.perplexity(),
    }


TABLE = """| model | tokens | KL mean | llama.cpp | ratio | KL worst | llama.cpp | same choice | llama.cpp | perplexity | llama.cpp | float32 | ratio |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


def row(r):
    return (f"| {r['model']} | {r['tokens']} | {r['kl_mean']:.6f} | {r['llama_cpp_kl_mean']:.6f} | "
            f"{r['kl_ratio']:.3f} | {r['kl_worst']:.4f} | {r['llama_cpp_kl_worst']:.4f} | "
            f"{r['same_choice']:.2%} | {r['llama_cpp_same_choice']:.2%} | {r['perplexity']:.4f} | "
            f"{r['llama_cpp_perplexity']:.4f} | {r['f32_perplexity']:.4f} | "
            f"{r['perplexity_ratio']:.5f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minerva", default="build/minerva")
    parser.add_argument("--windows", type=int, default=40, help="40 are just over 20,000 tokens")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--text", help="another text")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = options.text
        if text is None:
            text = os.path.join(folder, "text.txt")
            pathlib.Path(text).write_text(default_text(), encoding="utf-8")
        data = pathlib.Path(text).read_bytes()
        print(f"text: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}",
              file=sys.stderr)
        if not options.json:
            print(TABLE)
        for model in options.models:
            result = compare(options, model, text)
            print(json.dumps(result) if options.json else row(result), flush=True)


if __name__ == "__main__":
    main()
