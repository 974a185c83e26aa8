#!/usr/bin/env python3
"""Writes a Hugging Face model folder: from a GGUF of the llama architecture, or a tiny random one.

    make_hf_model.py MODEL.gguf OUT_DIR [--dtype float32]
    make_hf_model.py --tiny-random OUT_DIR

Needs PyPI gguf and numpy, no torch. The weights are dequantised (so they are the GGUF's values, not
those of the first release) and written as safetensors; tokenizer.json is rebuilt from the GGUF's
vocabulary. What the GGUF has and this cannot say is refused. OUT_DIR must not be there yet.
"""
import argparse
import json
import pathlib
import struct

import numpy as np

# The GGUF's token types (tokenizer.ggml.token_type).
CONTROL, USER_DEFINED = 3, 4

# How the words are cut before merging, by tokenizer.ggml.pre.
PRE_TOKENIZERS = {"smollm": ["digits", "byte_level"], "gpt-2": ["byte_level"]}

LAYER_TENSORS = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_TENSORS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm",
                 "output": "lm_head"}

TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
}
TINY_SEED = 20
TINY_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TINY_MERGES = ["t h", "th e", "Ġ the", "i n", "Ġ a", "e r", "o n", "Ġ t", "Ġ s", "in g"]
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def byte_alphabet():
    """The character that stands for each byte in a byte-level vocabulary: itself where it is
    visible in Latin-1, else the next one from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in visible else chr(next(others)) for byte in range(256)]


def as_bfloat16(values):
    """Round to nearest, ties to even."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, tensors, dtype):
    """tensors: {name: float32 array}."""
    header, offset, width = {"__metadata__": {"format": "pt"}}, 0, 2 if dtype == "bfloat16" else 4
    for name, values in tensors.items():
        end = offset + values.size * width
        header[name] = {"dtype": "BF16" if width == 2 else "F32", "shape": list(values.shape),
                        "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data are aligned
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write((as_bfloat16(values) if width == 2 else values.astype("<f4")).tobytes())


def added_token(token_id, content, special):
    return {"id": token_id, "content": content, "single_word": False, "lstrip": False,
            "rstrip": False, "normalized": False, "special": special}


def tokenizer_json(tokens, merges, added, stages):
    """added: {id: is it special}."""
    parts = {
        "digits": {"type": "Digits", "individual_digits": True},
        "byte_level": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                       "use_regex": True},
    }
    cutters = [parts[stage] for stage in stages]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added_token(i, tokens[i], special) for i, special in added.items()],
        "normalizer": None,
        "pre_tokenizer": cutters[0] if len(cutters) == 1 else {"type": "Sequence",
                                                              "pretokenizers": cutters},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges},
    }


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_folder(out, config, tokenizer, template, special, tensors, dtype):
    """special: {"bos_token": id, ...} of those the model has."""
    out.mkdir(parents=True)
    tokens = {i: token for token, i in tokenizer["model"]["vocab"].items()}
    ids = {f"{name[:-len('_token')]}_token_id": i for name, i in special.items()}
    write_json(out / "config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "attention_bias": False, "mlp_bias": False, "torch_dtype": dtype, **config, **ids})
    write_json(out / "generation_config.json", {"_from_model_config": True, **ids})
    write_json(out / "tokenizer.json", tokenizer)
    written = {name: tokens[i] for name, i in special.items()}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False,
        "add_prefix_space": False, "clean_up_tokenization_spaces": False,
        "model_max_length": config["max_position_embeddings"], **written,
        "added_tokens_decoder": {
            str(token["id"]): {k: v for k, v in token.items() if k != "id"}
            for token in tokenizer["added_tokens"]},
    }
    if template:
        settings["chat_template"] = template
    write_json(out / "tokenizer_config.json", settings)
    write_json(out / "special_tokens_map.json", written)
    write_safetensors(out / "model.safetensors", tensors, dtype)


class Source:
    """The values of a GGUF, each refused by name when it is missing."""

    def __init__(self, path):
        from gguf import GGUFReader
        self.reader = GGUFReader(path)

    def get(self, key, otherwise=None):
        field = self.reader.fields.get(key)
        if field is None and otherwise is None:
            raise SystemExit(f"make_hf_model: the GGUF has no {key}")
        return otherwise if field is None else field.contents()


def hf_name(name):
    """'blk.3.attn_q.weight' in the names of Hugging Face."""
    *front, last, kind = name.split(".")
    if front[:1] == ["blk"] and last in LAYER_TENSORS and kind == "weight":
        return f"model.layers.{front[1]}.{LAYER_TENSORS[last]}.weight"
    if not front and last in OTHER_TENSORS and kind == "weight":
        return f"{OTHER_TENSORS[last]}.weight"
    raise SystemExit(f"make_hf_model: no Hugging Face name for the tensor {name}")


def unpermuted(weights, heads):
    """The rows of a query or key matrix, from neighbouring pairs (GGUF) to halves."""
    rows, columns = weights.shape
    return (weights.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2)
            .reshape(rows, columns))


def converted_tensors(source, config):
    from gguf.quants import dequantize
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {}
    for tensor in source.reader.tensors:
        shape = [int(n) for n in reversed(tensor.shape)]
        values = dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        part = tensor.name.split(".")[-2]
        if part in heads:
            values = unpermuted(values, heads[part])
        tensors[hf_name(tensor.name)] = np.ascontiguousarray(values, np.float32)
    return tensors


def convert(path, out, dtype):
    source = Source(path)
    architecture = source.get("general.architecture")
    if architecture != "llama":
        raise SystemExit(f"make_hf_model: converts llama models, not {architecture}")
    width, heads = source.get("llama.embedding_length"), source.get("llama.attention.head_count")
    tensor_names = {tensor.name for tensor in source.reader.tensors}
    config = {
        "vocab_size": len(source.get("tokenizer.ggml.tokens")), "hidden_size": width,
        "intermediate_size": source.get("llama.feed_forward_length"),
        "num_hidden_layers": source.get("llama.block_count"), "num_attention_heads": heads,
        "num_key_value_heads": source.get("llama.attention.head_count_kv", heads),
        "head_dim": source.get("llama.attention.key_length", width // heads),
        "max_position_embeddings": source.get("llama.context_length"),
        "rms_norm_eps": float(np.float32(source.get("llama.attention.layer_norm_rms_epsilon"))),
        "rope_theta": source.get("llama.rope.freq_base", 10000.0),
        "tie_word_embeddings": "output.weight" not in tensor_names,
    }
    model, pre = source.get("tokenizer.ggml.model"), source.get("tokenizer.ggml.pre", "default")
    if model != "gpt2" or pre not in PRE_TOKENIZERS:
        raise SystemExit(f"make_hf_model: no tokenizer.json for tokenizer {model}, {pre}")
    types = source.get("tokenizer.ggml.token_type")
    added = {i: t == CONTROL for i, t in enumerate(types) if t in (CONTROL, USER_DEFINED)}
    tokenizer = tokenizer_json(source.get("tokenizer.ggml.tokens"),
                               source.get("tokenizer.ggml.merges"), added, PRE_TOKENIZERS[pre])
    special = {}
    for name, key in [("bos_token", "bos"), ("eos_token", "eos"), ("pad_token", "padding"),
                      ("unk_token", "unknown")]:
        token_id = source.get(f"tokenizer.ggml.{key}_token_id", -1)
        if token_id >= 0:
            special[name] = token_id
    write_folder(out, config, tokenizer, source.get("tokenizer.chat_template", ""), special,
                 converted_tensors(source, config), dtype)


def tiny_random(out, dtype):
    alphabet = byte_alphabet()
    tokens = TINY_SPECIAL + sorted(alphabet) + [m.replace(" ", "") for m in TINY_MERGES]
    tokenizer = tokenizer_json(tokens, TINY_MERGES, {i: True for i in range(len(TINY_SPECIAL))},
                               PRE_TOKENIZERS["gpt-2"])
    config = {"vocab_size": len(tokens), **TINY}
    rng = np.random.default_rng(TINY_SEED)
    width, inner = config["hidden_size"], config["intermediate_size"]
    kv_width = config["num_key_value_heads"] * config["head_dim"]

    def matrix(rows, columns):
        return rng.normal(0, columns ** -0.5, (rows, columns)).astype(np.float32)

    tensors = {"model.embed_tokens.weight": matrix(len(tokens), width) * 8}
    for i in range(config["num_hidden_layers"]):
        shapes = {"self_attn.q_proj": (width, width), "self_attn.k_proj": (kv_width, width),
                  "self_attn.v_proj": (kv_width, width), "self_attn.o_proj": (width, width),
                  "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width),
                  "mlp.down_proj": (width, inner)}
        for name, shape in shapes.items():
            tensors[f"model.layers.{i}.{name}.weight"] = matrix(*shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{i}.{name}.weight"] = np.ones(width, np.float32)
    tensors["model.norm.weight"] = np.ones(width, np.float32)
    # Only tokens of visible ASCII have logits other than 0, so that a greedy answer is readable, is
    # whole UTF-8 and never ends by itself.
    readable = [all(0x20 < ord(c) < 0x7F or c == alphabet[0x20] for c in token)
                and token not in TINY_SPECIAL for token in tokens]
    tensors["lm_head.weight"] = matrix(len(tokens), width) * 4 * np.array(readable)[:, None]
    special = {"bos_token": 0, "eos_token": 2, "pad_token": 0}
    write_folder(out, config, tokenizer, CHATML, special, tensors, dtype)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--tiny-random", action="store_true")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"])
    args = parser.parse_args()
    if args.tiny_random == bool(args.model):
        parser.error("say either a model or --tiny-random")
    if args.out.exists():
        parser.error(f"{args.out} is there already")
    if args.tiny_random:
        tiny_random(args.out, args.dtype or "float32")
    else:
        convert(args.model, args.out, args.dtype or "bfloat16")


if __name__ == "__main__":
    main()
