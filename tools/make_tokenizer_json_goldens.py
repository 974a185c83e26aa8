#!/usr/bin/env python3
"""Trains a small tokenizer.json of each kind that src/text reads, and asks PyPI `tokenizers` what
random texts become with it.

    make_tokenizer_json_goldens.py OUT.json     the kept answers (tests/data/text)

tests/external/tokenizer_json_test.py takes the same tokenizers and many more texts. Everything
depends on the seeds alone.
"""
import json
import random
import struct
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

import make_tokenizer_goldens as random_text

SEED = 21
VOCABULARY = 420  # byte-level; some 160 merges
TEXTS = 40
# Those that a vocabulary of characters has; the trainer's own choice differs from run to run.
CHARACTERS = set(" \nabcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789.,'\u00e9\u00fc\u4e16\u0431")
SPECIAL = ["<|end|>", "<s>", "<unk>"]
# Pre-tokenizers that the cases below have no other one of.
NEWER = ["qwen35", "seed-coder", "bailingmoe", "tekken", "gpt-4o", "kimi-k2", "deepseek-llm",
         "deepseek-coder", "deepseek-v3", "falcon", "minicpm5", "laguna", "bloom", "viking",
         "ufakzeka", "exaone-moe", "jais-2", "superbpe", "tiny_aya", "afmoe", "youtu", "spark2_5", "chameleon"]
WRITTEN = [*SPECIAL, "<left>", "<right>", "<user>", "<both>", "caf\u00e9", "<|end|>", " ", ""]


def corpus():
    rng = random.Random(SEED)
    return ["".join(random_text.part(rng) for _ in range(30)) for _ in range(300)]


def split(expression, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(expression), behavior, invert)


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split_then_bytes(*expressions):
    return pre_tokenizers.Sequence([*map(split, expressions), byte_level(False)])


def add_tokens(tokenizer):
    """Specials, and tokens with each of the flags."""
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_special_tokens([AddedToken("<left>", lstrip=True, special=True),
                                  AddedToken("<both>", lstrip=True, rstrip=True, special=True)])
    tokenizer.add_tokens([AddedToken("<right>", rstrip=True, normalized=False),
                          AddedToken("<user>", normalized=False)])


def bytes_kind(pre_tokenizer, normalizer=None, later=()):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus(), trainer)
    add_tokens(tokenizer)
    tokenizer.add_tokens([AddedToken(text, normalized=True) for text in later])
    return json.loads(tokenizer.to_str())


def characters_kind(pre_tokenizer, normalizer, decoder, byte_fallback, fuse_unk=False, later=()):
    """A BPE over characters, trained on words that begin with U+2581."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    trainer = trainers.BpeTrainer(vocab_size=300, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"])
    known = ["".join(c for c in text if c in CHARACTERS) for text in corpus()]
    tokenizer.train_from_iterator(known, trainer)
    document = json.loads(tokenizer.to_str())
    model = document["model"]
    if byte_fallback:
        for byte in range(256):
            model["vocab"][f"<0x{byte:02X}>"] = len(model["vocab"])
    model["byte_fallback"], model["fuse_unk"] = byte_fallback, fuse_unk
    document["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(document))
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoder
    add_tokens(tokenizer)
    tokenizer.add_tokens([AddedToken(text, normalized=True) for text in later])
    return json.loads(tokenizer.to_str())


def with_merge_lines(document):
    """The older way to write merges."""
    document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]
    return document


def with_template(document, before, after):
    tokenizer = Tokenizer.from_str(json.dumps(document))
    steps = [*([before] if before else []), "$A", *([after] if after else [])]
    names = dict.fromkeys(f"{before or ''} {after or ''}".split())
    tokens = [(text, tokenizer.token_to_id(text)) for text in names]
    tokenizer.post_processor = processors.TemplateProcessing(single=" ".join(steps),
                                                             special_tokens=tokens)
    return json.loads(tokenizer.to_str())


def ignoring_merges(document):
    document["model"]["ignore_merges"] = True
    return document


def without_bytes(document, fuse):
    """Byte-level with most bytes over 0x7F missing, and an unknown token for them."""
    model = document["model"]
    missing = [c for c in pre_tokenizers.ByteLevel.alphabet() if ord(c) > 0x7F and ord(c) % 3]
    missing = {c for c in missing if c not in "\u0120\u010a"}  # space and newline
    kept = [t for t in model["vocab"] if not missing & set(t)]
    ids = {text: i for i, text in enumerate(kept)}
    model["vocab"] = ids
    model["merges"] = [p for p in model["merges"] if p[0] + p[1] in ids]
    for token in document["added_tokens"]:
        token["id"] = len(ids)
        ids[token["content"]] = len(ids)
    model["unk_token"], model["fuse_unk"] = "<unk>", fuse
    return document


def kinds():
    pre = random_text.PRE_TOKENIZERS
    prepend = normalizers.Sequence([normalizers.Prepend("\u2581"),
                                    normalizers.Replace(" ", "\u2581")])
    pieces = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    stripping = decoders.Sequence([*pieces, decoders.Strip(content=" ", left=1)])

    def metaspace(scheme, cut):
        return pre_tokenizers.Metaspace(prepend_scheme=scheme, split=cut)

    gpt2 = bytes_kind(byte_level(True))
    digits = bytes_kind(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level(True)]))
    llama3 = bytes_kind(split_then_bytes(*pre["llama-bpe"]))
    spm = characters_kind(None, prepend, stripping, True)
    return {
        "gpt2": with_merge_lines(gpt2),
        "digits": digits,
        "digit runs": bytes_kind(
            pre_tokenizers.Sequence([pre_tokenizers.Digits(False), byte_level(True)])),
        "llama3": with_template(ignoring_merges(llama3), "<s>", None),
        "qwen2, nfc": bytes_kind(split_then_bytes(*pre["qwen2"]), normalizers.NFC(),
                                 later=["caf\u00e9", "the"]),
        "default": bytes_kind(split_then_bytes(*pre["default"])),
        "gpt2 by its expression": bytes_kind(pre_tokenizers.Sequence(
            [split(pre["gpt-2"][0], "removed", True), byte_level(False)])),
        "uncut": bytes_kind(byte_level(False)),
        "bytes missing": without_bytes(bytes_kind(byte_level(True)), False),
        "bytes missing, fused": without_bytes(bytes_kind(byte_level(True)), True),
        "spm": with_template(spm, "<s>", "</s>"),
        "spm without prefix": characters_kind(
            pre_tokenizers.Split(" ", "merged_with_previous"),
            normalizers.Replace(" ", "\u2581"), decoders.Sequence(pieces), True),
        "metaspace": characters_kind(
            metaspace("always", True), None,
            decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]), True,
            later=["the", "<b>"]),
        "metaspace first": characters_kind(
            metaspace("first", False), None,
            decoders.Metaspace(prepend_scheme="first", split=False), False, fuse_unk=True),
        "metaspace never": characters_kind(
            metaspace("never", True), None,
            decoders.Metaspace(prepend_scheme="never"), False, fuse_unk=False),
        **{name: bytes_kind(split_then_bytes(*pre[name])) for name in NEWER},
        **word_kinds(),
        **byte_kinds(),
    }


CLIP = (r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]"""
        r"|[^\s\p{L}\p{N}]+")


def words_kind(model, trainer, normalizer, pre_tokenizer, decoder, model_fields=None, single_word=(),
               marked=()):
    """Models of words that were cut before."""
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    # Which characters an alphabet leaves out differs from run to run.
    known = ["".join(c for c in text if c in CHARACTERS) for text in corpus()]
    tokenizer.train_from_iterator(known, trainer)
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [token for token in document["added_tokens"]
                                if token["content"] not in marked]
    tokenizer = Tokenizer.from_str(json.dumps(document))
    add_tokens(tokenizer)
    tokenizer.add_tokens([AddedToken(text, single_word=True, normalized=False)
                          for text in single_word])
    if decoder:
        tokenizer.decoder = decoder
    document = json.loads(tokenizer.to_str())
    document["model"].update(model_fields or {})
    return document


def marked_characters(prefix="", suffix=""):
    """As special tokens of a trainer, since it numbers these in an order of its own otherwise."""
    # Also what normal forms and byte-level make of these.
    parts = set("\u0301\u0308\u00c3\u00a9\u00bc\u00e4\u00b8\u0138\u00d0\u00b1")
    return [prefix + c + suffix for c in sorted(CHARACTERS - {" ", "\n"} | parts)]


def word_piece(normalizer, pre_tokenizer, prefix="##", cleanup=True, **more):
    marked = marked_characters(prefix)
    trainer = trainers.WordPieceTrainer(vocab_size=420, special_tokens=["<unk>", *marked],
                                        show_progress=False, continuing_subword_prefix=prefix)
    return words_kind(models.WordPiece(unk_token="<unk>"), trainer, normalizer, pre_tokenizer,
                      decoders.WordPiece(prefix=prefix, cleanup=cleanup),
                      {"continuing_subword_prefix": prefix}, marked=marked, **more)


def unigram(normalizer, pre_tokenizer, decoder, byte_fallback=False):
    """Its trainer depends on the order in which threads end: pieces and scores of our own."""
    rng = random.Random(SEED + 2)
    pieces = {"<unk>": 0.0, "<s>": 0.0, "</s>": 0.0}
    for character in sorted(CHARACTERS | {"\u2581"}):
        pieces[character] = -rng.randint(600, 1200) / 100
    words = sorted({word for text in corpus() for word in text.lower().split() if word.isascii()})
    for word in words[::5]:
        for text in ("\u2581" + word, word[:3], word[-3:], word[1:4], "\u2581" + word[:2]):
            pieces.setdefault(text, -rng.randint(300, 1100) / 100)
    if byte_fallback:
        pieces.update({f"<0x{byte:02X}>": 0.0 for byte in range(256)})
    # Equal scores are where ways are equally good.
    pieces.setdefault("aa", -7.0)
    pieces.setdefault("aaa", -10.5)
    pieces.setdefault("a", -3.5)
    tokenizer = Tokenizer(models.Unigram([(text, score) for text, score in pieces.items() if text],
                                         unk_id=0, byte_fallback=byte_fallback))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    add_tokens(tokenizer)
    return json.loads(tokenizer.to_str())


def bpe_of_words(normalizer, pre_tokenizer, decoder, **fields):
    marked = marked_characters(fields.get("continuing_subword_prefix", ""),
                               fields.get("end_of_word_suffix", "")) if fields else []
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<unk>", *marked],
                                  show_progress=False, **fields)
    model = models.BPE(unk_token="<unk>", fuse_unk=True, **fields)
    return words_kind(model, trainer, normalizer, pre_tokenizer, decoder, marked=marked)


def charsmap(rules):
    """The bytes of SentencePiece's table of characters: a trie in an array, and what each entry
    becomes. An entry's children lie at its block, each at the place of its byte."""
    root = {}
    texts = b""
    for before, after in rules.items():
        node = root
        for byte in before.encode():
            node = node.setdefault(byte, {})
        node[None] = len(texts)
        texts += after.encode() + b"\0"
    units = {0: 0}
    pending = [(root, 0, 0)]
    while pending:
        node, at, label = pending.pop()
        places = [0 if byte is None else byte for byte in node]
        block = next(b for b in range(1, 1 << 20)
                     if not any(b ^ place in units or b == at for place in places))
        units[at] = (at ^ block) << 10 | (None in node) << 8 | label
        for byte, child in node.items():
            if byte is None:
                units[block] = child | 1 << 31
            else:
                units[block ^ byte] = 0  # taken
                pending.append((child, block ^ byte, byte))
    words = [units.get(i, 0) for i in range((max(units) | 255) + 1)]
    return struct.pack(f"<{len(words) + 1}I", 4 * len(words), *words) + texts


CHARSMAP = {"\ufb01": "fi", "\u00bd": "1\u20442", "\u2167": "VIII", "\u00e9": "E", "e\u0301": "e-acute",
            "\t": " ", "\n": " ", "\u3000": " ", "\u017f": "s", "\u2026": "...", "\u00ad": "",
            "\uff21": "A", "\u0e33": "\u0e4d\u0e32", "ab": "X", "\U0001f600": ":)", "\r\n": "\n"}


def word_kinds():
    """WordPiece, WordLevel, Unigram, and BPE with marks at words' ends."""
    pre, norm = pre_tokenizers, normalizers
    squeeze = norm.Replace(Regex(r"\s+"), " ")
    bert = word_piece(norm.BertNormalizer(), pre.BertPreTokenizer())
    clip = bpe_of_words(norm.Sequence([norm.NFC(), squeeze, norm.Lowercase()]),
                        pre.Sequence([split(CLIP, "removed", True), byte_level(False)]), None,
                        end_of_word_suffix="</w>")
    clip["decoder"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                       "use_regex": True}
    levels = trainers.WordLevelTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False)
    return {
        "bert": with_template(bert, "<s>", "<|end|>"),
        "bert, two before": with_template(bert, "<s> <|end|>", "<|end|> <unk>"),
        "bert, cased": word_piece(norm.BertNormalizer(lowercase=False), pre.BertPreTokenizer(),
                                  cleanup=False, single_word=["the", "\u00e9"]),
        "bert, accents kept": word_piece(
            norm.BertNormalizer(strip_accents=False, handle_chinese_chars=False),
            pre.BertPreTokenizer()),
        "word pieces": word_piece(norm.Sequence([norm.NFKD(), norm.StripAccents(), norm.Strip()]),
                                  pre.Whitespace(), prefix="@@"),
        "word pieces at signs": word_piece(norm.NFD(), pre.Sequence([
            pre.WhitespaceSplit(), pre.Punctuation("contiguous"), pre.Digits(True)])),
        "word pieces with the previous": word_piece(None, pre.Sequence([
            pre.CharDelimiterSplit(" "), pre.Punctuation("merged_with_previous")])),
        "word pieces with the next": word_piece(norm.Nmt(), pre.Sequence([
            split(r"[^\S\n]", "merged_with_next"), pre.Punctuation("merged_with_next")])),
        "word levels": words_kind(models.WordLevel(unk_token="<unk>"), levels, norm.Lowercase(),
                                  pre.Whitespace(), None),
        "unigram": with_template(unigram(
            norm.Sequence([norm.Nmt(), norm.NFKC(), norm.Replace(Regex(" {2,}"), " ")]),
            pre.Metaspace(), decoders.Metaspace()), None, "</s>"),
        "unigram, bytes": unigram(None, pre.Metaspace(prepend_scheme="first", split=False),
                                  decoders.Sequence([decoders.ByteFallback(),
                                                     decoders.Metaspace(prepend_scheme="first")]),
                                  True),
        "unigram, lower": unigram(
            norm.Sequence([norm.Replace("``", '"'), norm.NFKD(), norm.StripAccents(),
                           norm.Lowercase(), norm.Prepend("\u2581")]),
            pre.Sequence([pre.WhitespaceSplit(), pre.Metaspace()]), decoders.Metaspace()),
        "unigram, precompiled": unigram(
            norm.Sequence([norm.Precompiled(charsmap(CHARSMAP)), norm.Replace(Regex(" {2,}"), " ")]),
            pre.Metaspace(), decoders.Metaspace()),
        "clip": clip,
        "suffixes": bpe_of_words(norm.Lowercase(), pre.WhitespaceSplit(), decoders.BPEDecoder(),
                                 end_of_word_suffix="</w>"),
        "prefixes": bpe_of_words(None, pre.Whitespace(), decoders.WordPiece(),
                                 continuing_subword_prefix="##"),
        "words": bpe_of_words(norm.Strip(right=False), pre.Sequence([
            split(r"\s", "removed"), split(r"(?i:un|re)(?=\p{L})|\b[xyz]\w", "contiguous"),
            split("e", "merged_with_previous", True)]), None),
    }


def byte_kinds():
    """Byte-level BPE, cut in other ways than scanners do."""
    pre = random_text.PRE_TOKENIZERS
    # A group changes nothing but the name: no scanner of ours is known by it.
    grouped = {name: bytes_kind(split_then_bytes(*(f"(?:{e})" for e in pre[name])))
               for name in ("gpt-2", "llama-bpe", "qwen35", "gpt-4o", "deepseek-v3", "deepseek-llm",
                            "bloom")}
    spaced = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)
    roberta = bytes_kind(spaced)
    end = roberta["added_tokens"][0]
    roberta["post_processor"] = {"type": "RobertaProcessing", "sep": [end["content"], end["id"]],
                                 "cls": [end["content"], end["id"]], "trim_offsets": True,
                                 "add_prefix_space": True}
    return {
        **{f"{name} by its expression": kind for name, kind in grouped.items() if name != "gpt-2"},
        "roberta": roberta,
        "lower bytes": bytes_kind(byte_level(True), normalizers.Sequence(
            [normalizers.NFKC(), normalizers.Lowercase()])),
        "bytes at signs": bytes_kind(pre_tokenizers.Sequence([
            pre_tokenizers.Punctuation("isolated"), split(r"\d{1,3}(?=(?:\d{3})*\b)"),
            split("[aeiou]", "merged_with_next"), byte_level(False)])),
    }


def mixed_text(rng, parts):
    """With special tokens in every place."""
    return "".join(rng.choice(WRITTEN) if rng.random() < 0.15 else random_text.part(rng)
                   for _ in range(parts))


def goldens():
    rng = random.Random(SEED + 1)
    plain = ["".join(random_text.part(rng) for _ in range(rng.randint(1, 12)))
             for _ in range(TEXTS)]
    mixed = [mixed_text(rng, rng.randint(1, 12)) for _ in range(TEXTS)]
    cases = []
    for name, document in kinds().items():
        tokenizer = Tokenizer.from_str(json.dumps(document))

        def ids(text, added=False):
            return tokenizer.encode(text, add_special_tokens=added).ids

        # None where its decoder loses text: it takes the letters of an added token for those of
        # bytes, and puts U+FFFD for cut characters.
        odd = [token["content"] for token in document["added_tokens"]
               if not token["content"].isascii()]

        def decoded(text):
            out = tokenizer.decode(ids(text), skip_special_tokens=False)
            lost = any(token in text for token in odd) or "\ufffd" in out
            return None if lost else out

        cases.append({
            "name": name, "tokenizer": document,
            "ids": [ids(text) for text in plain + mixed],
            "framed": [ids(text, True) for text in plain[:5]],
            "decoded": [decoded(text) for text in plain],
        })
    return {"texts": plain + mixed, "cases": cases}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], "w", encoding="ascii") as file:
        json.dump(goldens(), file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
