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


# Longer than what part() makes, and where expressions of newer models part.
WRITTEN = ["1234567890" * 52 + "1", "\u0663" * 5 + "x",
           "1234567x 1234567 12_", "12\u00bd1234567\u00bd 1234\u00b2 123456\u2460", "a1234 b12345 c123456 1234567890,5",
           " " * 530 + "x", "\t" * 70, "a" + " " * 37 + "1" + " " * 6 + "!" + " " * 3,
           "  \n \n  x\n\ny!\n\nz  /\n", "one two three  four five\u0301 six1 seven eight",
           "<sentinel:12><sentinel:><sentinel:3 IMGIMGABCZIMGIMGZ IMGIMGABCDEZ\t    x   y",
           "\u4f60\u597d\u3001\u300c\uac00\uac01\u300d\u3105\u3106\uff01\u2026\u0e01\u0e02\u1780x"]


def texts() -> list[str]:
    rng = random.Random(SEED)
    made = ["".join(part(rng) for _ in range(rng.randint(1, 14))) for _ in range(CASES)]
    return made + WRITTEN


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}NUMBERS"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
EAST_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
DEEPSEEK3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
             r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
CONTRACTED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
# Of Latin, Greek, Cyrillic and others: those that have case, as DeepSeek lists them.
CASED_LETTERS = (
    "\u0041-\u005a\u0061-\u007a\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf"
    "\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386"
    "\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556"
    "\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b"
    "\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d"
    "\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
    "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4"
    "\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d"
    "\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b"
    "\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f"
    "\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a"
    "\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb"
    "\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943")


def cased(excluded: str, end: str, numbers: str, after_signs: str) -> str:
    upper = rf"[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}{excluded}]"
    lower = rf"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}{excluded}]"
    sign = r"[^\r\n\p{L}\p{N}]?"
    return (f"{sign}{upper}*{lower}+{end}|{sign}{upper}+{lower}*{end}|{numbers}" +
            rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n{after_signs}]*|\s*[\r\n]+|\s+(?!\S)|\s+")


CONTRACTIONS_FIRST = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
POWERS = "|".join(rf"\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4, "1,2"))
TRINITY_SCRIPTS = (
    r"(?:[\u4E00-\u9FFF\u3040-\u309F\u30A0-\u30FF\u3400-\u4DBF\uf900-\uFAFF\uFF65-\uFF9F"
    r"\u2F00-\u2FDF]+|[\u0E00-\u0E7F]+|[\u0E80-\u0EFF]+|[\u1780-\u17FF]+|[\u1000-\u109F"
    r"\uAA60-\uAA7F\uA9E0-\uA9FF]+|[\uAC00-\uD7AF\u1100-\u11FF]+)")
YOUTU_SCRIPTS = ("[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a"
                 "\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+"
                 "|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+")
PRE_TOKENIZERS = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3.replace("NUMBERS", "{1,3}")],
    "qwen2": [LLAMA3.replace("NUMBERS", "")],
    "qwen35": [LLAMA3.replace("NUMBERS", "").replace(r"?\p{L}+", r"?[\p{L}\p{M}]+")
               .replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")],
    "ufakzeka": [LLAMA3.replace("NUMBERS", "").partition("|[^")[2].join(["[^", ""])],
    "seed-coder": [LLAMA3.replace("NUMBERS", "{1}")
                   .replace(r"[^\s\p{L}\p{N}]+[\r\n]*", r"[^\s\p{L}\p{N}\r\n]+")],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}"
                   r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "tekken": [cased("", "", r"\p{N}", "/")],
    "gpt-4o": [cased("", CONTRACTED, r"\p{N}{1,3}", "/")],
    "kimi-k2": [r"[\p{Han}]+|" + cased(r"&&[^\p{Han}]", CONTRACTED, r"\p{N}{1,3}", "")],
    "deepseek-llm": [r"[\r\n]", rf"\s?[{CASED_LETTERS}]+",
                     r"\s?[!-/:-~" + "\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
                     r"\s+$", EAST_ASIAN, r"\p{N}+"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST_ASIAN, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK3],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3.replace("NUMBERS", "+")],
    "laguna": [r"[^\n]+|[\n]+", LLAMA3.replace("NUMBERS", "")],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "exaone-moe": [CONTRACTIONS_FIRST + r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
                   r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "jais-2": [CONTRACTIONS_FIRST + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
               r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|" + POWERS + r"|\s{1}"],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", cased("", CONTRACTED, r"\p{N}{1,3}", "/")],
    "afmoe": [r"\p{Nd}{1,510}(?=(?>\p{Nd}{510})*(?:\P{Nd}|$))|\G\p{Nd}{510}",
              r"\A\p{Nd}{1,2}(?=\p{Nd}{3}+\z)", r"\A\p{Nd}{3}|\G\p{Nd}{3}", TRINITY_SCRIPTS,
              DEEPSEEK3],
    "youtu": [YOUTU_SCRIPTS, cased("", CONTRACTED, r"\p{N}", "/")],
    "spark2_5": [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
                 DEEPSEEK3.replace(r"+[\r\n]*|\s*[\r\n]+|", r"+|[\r\n]|"), r"\p{N}"],
    "chameleon": ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
                  r"([\t\n]|    |  )", r"\p{N}", r"[\p{P}!-/:-@\[-`{-~]", GPT2],
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
