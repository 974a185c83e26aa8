"""The folders of tests/data/hf as whole models: they come without a tokenizer, and get one of
letters, so that a text is a list of tokens."""
import json
import random
import shutil

SEED = 5
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def letters_tokenizer(tokens):
    """A token a letter; the last two have one together as well, since merges must not be empty."""
    letters = [chr(code) for code in range(ord("!"), ord("!") + tokens - 1)]
    assert letters[-1] <= "~"
    pair = letters[-2] + letters[-1]
    vocabulary = {letter: i for i, letter in enumerate([*letters, pair])}
    return letters[:-2], {
        "added_tokens": [],
        "pre_tokenizer": BYTES, "decoder": BYTES,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [f"{letters[-2]} {letters[-1]}"]}}


def copy_with_tokenizer(folder, to, tokens):
    """A text of that many tokens, and their ids."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    letters, tokenizer = letters_tokenizer(config.get("text_config", config)["vocab_size"])
    (to / "tokenizer.json").write_text(json.dumps(tokenizer))
    (to / "tokenizer_config.json").write_text('{"tokenizer_class":"PreTrainedTokenizerFast"}')
    rng = random.Random(SEED)
    ids = [rng.randrange(len(letters)) for _ in range(tokens)]
    return "".join(letters[i] for i in ids), ids
