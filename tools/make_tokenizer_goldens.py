#!/usr/bin/env python3
"""Makes the kept answers of src/text's tests from random text of many scripts.

    make_tokenizer_goldens.py pre OUT.json              pieces, by PyPI `tokenizers`
    make_tokenizer_goldens.py model MODEL.gguf OUT.json ids, by PyPI `llama-cpp-python`

The texts depend on the seed alone, so a second run gives the same file.
"""

import argparse
import json
import random
import unicodedata

SEED = 20
CASES = 250

SPACES = [" ", " ", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\r", "\x0b", "\x0c", "\x85",
          "\xa0", "\u2003", "\u2028", "\u2029", "\u3000", "\u1680", "\u202f", "\u200b", "\ufeff",
          "\x1c", "\x1f"]
CONTRACTIONS = ["'s", "'S", "'t", "'T", "'re", "'RE", "'rE", "'ve", "'Ve", "'m", "'M", "'ll", "'LL",
                "'lL", "'d", "'D", "'x", "'", "''", "'\u017f", "'\u017fa", "\u2019s", "'l", "'r"]
WORDS = """the of and Hello WORLD camelCase snake_case don't it's I'LL we're 3.14 1,000,000 123456789
x86_64 http://example.org/a?b=c user@host def main(): print('hi') {"k":[1,2]} <div> </div> C++ naïve
café Zürich straße Привет мир Здравствуйте Български 你好 世界 今日は こんにちは 안녕하세요 مرحبا
بالعالم שלום नमस्ते हिन्दी ภาษาไทย ქართული አማርኛ ខ្មែរ 🦙 🚀 😶‍🌫️ 👨‍👩‍👧‍👦 🇩🇪 ½ ² Ⅷ ٣٤٥ १२३ 𝟘𝟙𝟚 ① é
ﬁ ſt ... --- === >>> $5 €7 +1 ~x ^y `z` |a|b #$%^&* !!! ??? — “q” «g»""".split()
RANGES = [(0x20, 0x7e), (0xa0, 0x24f), (0x300, 0x36f), (0x370, 0x4ff), (0x590, 0x6ff),
          (0x900, 0x97f), (0xe00, 0xe7f), (0x1100, 0x11ff), (0x2000, 0x20bf), (0x2150, 0x218f),
          (0x2190, 0x2bff), (0x3000, 0x30ff), (0x4e00, 0x9fa5), (0xac00, 0xd7a3), (0xe000, 0xe010),
          (0xfb00, 0xfb06), (0xff00, 0xffef), (0x1f300, 0x1f64f), (0x1d400, 0x1d7ff),
          (0x20000, 0x2a000), (0x10000, 0x10ffff), (0x0, 0x1f), (0x7f, 0x9f)]


def assigned(code: int) -> bool:
    # Unassigned characters get classes in later versions of Unicode.
    return not 0xD800 <= code <= 0xDFFF and unicodedata.category(chr(code)) != "Cn"


def part(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.30:
        return rng.choice(WORDS)
    if kind < 0.50:
        return rng.choice(SPACES)
    if kind < 0.58:
        return rng.choice(CONTRACTIONS)
    if kind < 0.66:
        return "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 8)))
    if kind < 0.72:
        marks = ".,;:!?-_=+*/\\|~^$<>()[]{}\"'`#@&%"
        return "".join(rng.choice(marks) for _ in range(rng.randint(1, 5)))
    if kind < 0.80:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyzABC") for _ in range(rng.randint(1, 12)))
    if kind < 0.83:
        return rng.choice(" \n\tab=") * rng.randint(1, 70)
    first, last = rng.choice(RANGES)
    codes = [rng.randint(first, last) for _ in range(rng.randint(1, 6))]
    return "".join(chr(code) for code in codes if assigned(code))


def texts() -> list[str]:
    rng = random.Random(SEED)
    return ["".join(part(rng) for _ in range(rng.randint(1, 14))) for _ in range(CASES)]


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}NUMBERS"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PRE_TOKENIZERS = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3.replace("NUMBERS", "{1,3}")],
    "qwen2": [LLAMA3.replace("NUMBERS", "")],
}


def pre_goldens() -> dict:
    from tokenizers import Regex, pre_tokenizers

    out = {}
    for name, expressions in PRE_TOKENIZERS.items():
        splitter = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(e), "isolated") for e in expressions])
        # Lengths in bytes: the pieces lie side by side.
        out[name] = [[len(piece.encode()) for piece, _ in splitter.pre_tokenize_str(text)]
                     for text in texts()]
    return {"texts": texts(), "lengths": out}


def model_goldens(path: str) -> dict:
    import llama_cpp

    model = llama_cpp.Llama(model_path=path, vocab_only=True, verbose=False)

    def ids(text: str, special: bool) -> list[int]:
        return model.tokenize(text.encode(), add_bos=False, special=special)

    # Special tokens of both sample models, in the middle of words and doubled. Not </s>: Gemma has it
    # as a user-defined token (the HTML tag), which llama.cpp takes for a control token by its look.
    written = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<start_of_turn>", "<end_of_turn>",
               "<bos>", "<eos>", "<s>", "<unused7>", "<table>", "  ", "\n\n\n"]
    rng = random.Random(SEED + 1)
    mixed = ["".join(word + rng.choice([" ", "", *written]) for word in text.split(" "))
             for text in texts()[:100]]
    return {
        "plain": [{"text": text, "ids": ids(text, False)} for text in texts() + mixed],
        "parsed": [{"text": text, "ids": ids(text, True)} for text in mixed],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    pre = kinds.add_parser("pre")
    pre.add_argument("out")
    model = kinds.add_parser("model")
    model.add_argument("model")
    model.add_argument("out")
    args = parser.parse_args()
    goldens = pre_goldens() if args.kind == "pre" else model_goldens(args.model)
    with open(args.out, "w", encoding="ascii") as file:
        json.dump(goldens, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
