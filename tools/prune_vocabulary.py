#!/usr/bin/env python3
"""Makes a small vocabulary with known answers of a large one: what its texts cannot contain is left
out, and the ids that are left are counted anew, also in the answers.

    prune_vocabulary.py ggml-vocab-NAME.gguf OUT.gguf     with .inp and .out beside each

A merge takes part in a text only if the text contains what it makes, so that the answers stay those
of the whole vocabulary. Needs PyPI `gguf`.
"""
import pathlib
import sys

from gguf import GGUFReader, GGUFWriter

MARK = "\n__ggml_vocab_test__\n"


def letters_of_bytes():
    plain = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    out = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        if byte not in out:
            out[byte] = chr(0x100 + len(out) - len(plain))
    return out


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = (pathlib.Path(arg) for arg in sys.argv[1:])
    reader = GGUFReader(source)
    value = {key: field.contents() for key, field in reader.fields.items()}
    tokens, kinds = value["tokenizer.ggml.tokens"], value["tokenizer.ggml.token_type"]
    letters = letters_of_bytes()
    texts = source.with_name(source.name + ".inp").read_bytes()
    written = "".join(letters[byte] for byte in texts)

    kept = [i for i, (token, kind) in enumerate(zip(tokens, kinds))
            if kind != 1 or len(token) == 1 or token in written]
    new = {old: i for i, old in enumerate(kept)}
    names = {tokens[i] for i in kept}
    merges = [line for line in value["tokenizer.ggml.merges"]
              if {line.replace(" ", "", 1), *line.split(" ")} <= names]

    writer = GGUFWriter(target, value["general.architecture"])
    writer.add_tokenizer_model(value["tokenizer.ggml.model"])
    writer.add_tokenizer_pre(value["tokenizer.ggml.pre"])
    writer.add_token_list([tokens[i] for i in kept])
    writer.add_token_types([kinds[i] for i in kept])
    writer.add_token_merges(merges)
    for name in ("bos", "eos", "padding"):
        key = f"tokenizer.ggml.{name}_token_id"
        if key in value:
            writer.add_uint32(key, new[value[key]])
    for name in ("bos", "eos"):
        key = f"tokenizer.ggml.add_{name}_token"
        if key in value:
            writer.add_bool(key, value[key])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    target.with_name(target.name + ".inp").write_bytes(texts)
    lines = source.with_name(source.name + ".out").read_text().splitlines()
    target.with_name(target.name + ".out").write_text(
        "".join("".join(f" {new[int(i)]}" for i in line.split()) + "\n" for line in lines))
    print(f"{len(tokens)} tokens -> {len(kept)}, {len(merges)} merges")


if __name__ == "__main__":
    main()
