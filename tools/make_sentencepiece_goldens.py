#!/usr/bin/env python3
"""Trains small models of PyPI `sentencepiece` and asks them what random texts become: what GGUF
files of the models `t5` (Unigram with a table of characters) and `llama` (BPE with bytes) must give.

    make_sentencepiece_goldens.py OUT.json               the kept answers (tests/data/text)
    make_sentencepiece_goldens.py OUT.json nmt_nfkc N    the library's own table, N texts

Everything depends on the seeds alone.
"""
import base64
import io
import json
import random
import re
import sys
import tempfile
import unicodedata

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as protocol

import make_tokenizer_goldens as random_text

SEED = 31
TEXTS = 100
# Those that the random texts have often, and what is written in two ways.
REWRITTEN = "\u00a0\u00bd\u00b2\u2167\ufb01\u017f\u2460\uff21\uff41\uff01\u3000\u2026\u212b\uff76"
RULES = {**{c: unicodedata.normalize("NFKC", c) for c in REWRITTEN},
         **dict.fromkeys("\t\n\r\u200b\u2028", " "), "e\u0301": "\u00e9", "u\u0308": "\u00fc",
         "\u30ab\u3099": "\u30ac", "\u00ad": ""}


# The library wants a token for each character that is not rare; of others there are too many.
LEARNT = {*map(chr, range(32, 127)), *"\u00e9\u00fc\u00df\u4e16\u754c\u4f60\u597d\u043f\u0440\u0438\u0432\u0435\u0442\u0e44\u0e17"}


def corpus():
    rng = random.Random(SEED)
    texts = ("".join(random_text.part(rng) for _ in range(30)) for _ in range(400))
    return ["".join(c for c in text if c in LEARNT) for text in texts]


def trained(kind, rules, **options):
    """The model, and what its file says."""
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="ascii") as table:
        for before, after in rules.items() if isinstance(rules, dict) else ():
            sides = (" ".join(f"{ord(c):X}" for c in side) for side in (before, after))
            table.write("\t".join(sides) + "\n")
        table.flush()
        table_of = ({"normalization_rule_tsv": table.name} if isinstance(rules, dict) else
                    {"normalization_rule_name": rules})
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus()), model_writer=model, model_type=kind,
            hard_vocab_limit=False, character_coverage=1.0, num_threads=1, minloglevel=2,
            **table_of, **options)
    file = protocol.ModelProto()
    file.ParseFromString(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()), file


# Where ways to cut are equally good, the library decides by sums of float32, others by float64.
RUN = re.compile(r"(.)\1{5}")


def texts(count):
    rng = random.Random(SEED + 1)
    out = ["", "a", "  two  spaces ", "\ufb01ne e\u0301 \u30ab\u3099 \u00bd", "x\t\ny"]
    while len(out) < count:
        parts = [random_text.part(rng) for _ in range(rng.randint(1, 12))]
        text = "".join(parts).replace("\0", " ")  # which ends a text in some of its interfaces
        if text.strip() and not RUN.search(text):
            out.append(text)
    return out


def case(name, model, kind, rules, count, **options):
    processor, file = trained(kind, rules, **options)
    spec = file.normalizer_spec
    return {
        "name": name, "model": model,
        "pieces": [piece.piece for piece in file.pieces],
        "scores": [piece.score for piece in file.pieces],
        "kinds": [piece.type for piece in file.pieces],  # counted as GGUF counts them
        "charsmap": base64.b64encode(spec.precompiled_charsmap).decode(),
        "add_space_prefix": spec.add_dummy_prefix,
        "remove_extra_whitespaces": spec.remove_extra_whitespaces,
        "unk": processor.unk_id(),
        "ids": [processor.encode(text) for text in texts(count)],
        "decoded": [processor.decode(processor.encode(text)) for text in texts(count)],
    }


def main():
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    rules = sys.argv[2] if len(sys.argv) > 2 else RULES
    count = int(sys.argv[3]) if len(sys.argv) > 3 else TEXTS
    like_t5 = {"vocab_size": 500, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    like_llama = {"vocab_size": 600, "unk_id": 0, "bos_id": 1, "eos_id": 2, "byte_fallback": True,
                  "split_digits": True, "allow_whitespace_only_pieces": True,
                  "remove_extra_whitespaces": False}
    cases = [
        case("t5", "t5", "unigram", rules, count, **like_t5),
        case("t5 with its spaces", "t5", "unigram", rules, count, remove_extra_whitespaces=False,
             **like_t5),
        case("t5 with bytes", "t5", "unigram", rules, count, byte_fallback=True,
             **like_t5 | {"vocab_size": 700}),
        case("llama", "llama", "bpe", "identity", count, **like_llama),
        case("llama without prefix", "llama", "bpe", "identity", count, add_dummy_prefix=False,
             **like_llama),
    ]
    with open(sys.argv[1], "w", encoding="ascii") as file:
        json.dump({"texts": texts(count), "cases": cases}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
