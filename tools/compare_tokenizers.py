#!/usr/bin/env python3
"""Random texts through every kind of tokenizer.json (make_tokenizer_json_goldens.py), by the program
and by PyPI `tokenizers`: are the ids equal?

    compare_tokenizers.py MINERVA [TEXTS [KIND...]]

TEXTS, 100,000 unless said, go through each kind in bundles, parted by a special token. Ends with 1 if
any differ.
"""
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

import make_tokenizer_json_goldens as kinds

BUNDLE = 1000
BETWEEN = "<|end|>"  # a special token of all kinds


def write_model(folder, tokenizer):
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


def first_difference(ours, wanted):
    for i, pair in enumerate(zip(ours, wanted)):
        if pair[0] != pair[1]:
            return i
    return None if len(ours) == len(wanted) else min(len(ours), len(wanted))


def compare(minerva, folder, document, texts):
    """Where they differ first, in words, or nothing."""
    write_model(folder, document)
    reference = Tokenizer.from_str(json.dumps(document))
    for start in range(0, len(texts), BUNDLE):
        text = "".join(BETWEEN + one for one in texts[start:start + BUNDLE])
        run = subprocess.run([minerva, "tokenize", folder, "--parse-special"],
                             input=text.encode(), capture_output=True, check=True)
        ours = json.loads(run.stdout)
        wanted = reference.encode(text, add_special_tokens=False).ids
        at = first_difference(ours, wanted)
        if at is not None:
            return f"bundle {start // BUNDLE}, id {at}: {ours[at:at + 8]} for {wanted[at:at + 8]}"
    return None


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    rng = random.Random(kinds.SEED + 9)
    texts = [kinds.mixed_text(rng, rng.randint(1, 12)) for _ in range(count)]
    differ = 0
    for name, document in kinds.kinds().items():
        if len(sys.argv) > 3 and name not in sys.argv[3:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            problem = compare(sys.argv[1], pathlib.Path(folder), document, texts)
        differ += problem is not None
        print(f"{name}: {problem or 'equal'}", flush=True)
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
