#!/usr/bin/env python3
"""Makes tests/data/arch: tiny seeded models of every architecture that the engine runs, and their
logits as mlx-lm computes them in float32 on the CPU.

    python tools/make_arch_goldens.py OUT_DIR

Needs PyPI mlx-lm with its cpu extra (made with mlx-lm 0.32.2, mlx 0.32.4) and gguf 0.19.0; no model
is fetched. For each case NAME.gguf (matrices F16, exact in both; norms F32) and NAME.bin:

    u32 tokens, u32 vocabulary, the tokens as i32, the logits [tokens][vocabulary] as f32, and the
    same with keys and values rounded to half precision, as the engine's cache keeps them

The second logits come from the numpy reference, since mlx-lm keeps float32: they lie an order of
magnitude nearer to the engine's, so that a smaller mistake shows.
Two checks before anything is written. The numpy reference (reference_model.py) must agree with
mlx-lm: it reads the GGUF, so the conversion is checked too. And each trait of a case must show: the
reference without that trait must miss by TRAIT times the tolerance or more.
"""
import copy
import pathlib
import struct
import sys

import mlx.core as mx
import numpy as np
from gguf import GGUFWriter
from mlx.utils import tree_flatten
from mlx_lm.models import gemma3_text, llama

from reference_model import ReferenceModel, Rope

TOLERANCE = 1e-3  # of the largest |logit|: numerics.md
TRAIT = 20

NAMES = {  # Hugging Face: GGUF
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "input_layernorm": "attn_norm",
}
LLAMA_NAMES = NAMES | {"post_attention_layernorm": "ffn_norm"}
GEMMA_NAMES = NAMES | {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
TOP_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}

LLAMA = dict(model_type="llama", hidden_size=64, num_hidden_layers=2, intermediate_size=120,
             num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5, vocab_size=75,
             max_position_embeddings=1024, rope_theta=10_000.0)
GEMMA = dict(model_type="gemma3_text", hidden_size=64, num_hidden_layers=7, intermediate_size=32,
             num_attention_heads=4, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6,
             vocab_size=72, query_pre_attn_scalar=16, sliding_window=20, sliding_window_pattern=6,
             max_position_embeddings=1024)
# original_max_position_embeddings is small, so that the pairs fall into all three of its bands.
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=128)


# Each returns a change to the reference that takes a trait away.
def set_rope(**changes):
    def change(model):
        model.ropes = [copy.copy(r) for r in model.ropes]
        for rope in model.ropes:
            for key, value in changes.items():
                setattr(rope, key, value)
    return change


def gemma_global(**changes):
    def change(model):
        rope = copy.copy(model.ropes[5])
        for key, value in changes.items():
            setattr(rope, key, value)
        model.ropes[5] = rope
    return change


def set_windows(window):
    def change(model):
        model.windows = [w and window for w in model.windows]
    return change


def set_field(**changes):
    def change(model):
        for key, value in changes.items():
            setattr(model, key, value)
    return change


def shift_pattern(model):
    model.windows = [model.windows[-1]] + model.windows[:-1]


# name: (module, settings, tokens, what must show). 300 tokens are more than one attention range of
# 256; 75 words and 120 hidden values are no multiples of a vector.
CASES = {
    "llama_grouped": (llama, LLAMA, 64, {
        "rope base": set_rope(base=20_000.0)}),
    "llama_wide_heads": (llama, LLAMA | dict(
        num_attention_heads=4, num_key_value_heads=4, head_dim=32, tie_word_embeddings=False,
        rope_theta=100_000.0, rms_norm_eps=1e-2), 64, {
        "rope base": set_rope(base=10_000.0), "epsilon": set_field(eps=1e-5)}),
    "llama_rope_factors": (llama, LLAMA | dict(
        num_attention_heads=4, num_key_value_heads=1, head_dim=32, rope_scaling=LLAMA3), 300, {
        "rope factors": set_rope(factors=None)}),
    "llama_rope_linear": (llama, LLAMA | dict(
        num_attention_heads=2, num_key_value_heads=2,
        rope_scaling=dict(type="linear", factor=4.0)), 96, {
        "linear scale": set_rope(scale=1.0)}),
    "gemma3_windows": (gemma3_text, GEMMA, 96, {
        "window": set_windows(None), "window by one": set_windows(21),
        "place of the global layer": shift_pattern,
        "global base": gemma_global(base=10_000.0),
        "embedding scale": set_field(embedding_scale=1.0)}),
    "gemma3_rope_linear": (gemma3_text, GEMMA | dict(
        num_attention_heads=2, num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=32,
        sliding_window=40, rope_theta=20_000.0,
        rope_scaling=dict(rope_type="linear", factor=8.0)), 300, {
        "window": set_windows(None), "linear scale": gemma_global(scale=1.0),
        "global base": gemma_global(base=10_000.0)}),
}


def seeded_weights(model, rng):
    """[(name, array)] for every parameter, large enough that attention has something to choose."""
    out = []
    for name, value in tree_flatten(model.parameters()):
        shape = value.shape
        if len(shape) == 1:
            center = 0.0 if "gemma3" in model.model_type else 1.0
            if "q_norm" in name or "k_norm" in name:
                center += 0.5
            out.append((name, (center + 0.25 * rng.standard_normal(shape)).astype(np.float32)))
            continue
        gain = 1.5 if "q_proj" in name or "k_proj" in name else 1.0
        if "embed" in name:
            gain = 4.0 if "gemma3" in model.model_type else 6.0
        values = gain / np.sqrt(shape[1]) * rng.standard_normal(shape)
        out.append((name, values.astype(np.float16).astype(np.float32)))
    return out


def permuted(weight, heads):
    """As converters do for llama: pairs half a head apart become neighbours."""
    rows, cols = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols)


def llama3_factors(args, scaling):
    """rope_freqs.weight: what divides each pair's frequency."""
    dim = args.head_dim or args.hidden_size // args.num_attention_heads
    wavelength = 2 * np.pi * args.rope_theta ** (np.arange(0, dim, 2) / dim)
    turns = scaling["original_max_position_embeddings"] / wavelength
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    smooth = (turns - low) / (high - low)
    between = 1 / ((1 - smooth) / scaling["factor"] + smooth)
    factors = np.where(turns < low, scaling["factor"], np.where(turns > high, 1.0, between))
    assert len({*np.sign(factors - 1)}) > 1 and np.any((factors > 1) & (factors < scaling["factor"]))
    return factors.astype(np.float32)


def gguf_name(name, names):
    stem, kind = name.rsplit(".", 1)
    if stem in TOP_NAMES:
        return f"{TOP_NAMES[stem]}.{kind}"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{names[rest]}.{kind}"


def write_gguf(path, name, args, weights):
    gemma = args.model_type == "gemma3_text"
    writer = GGUFWriter(path, "gemma3" if gemma else "llama")
    writer.add_name(name)
    writer.add_block_count(args.num_hidden_layers)
    writer.add_embedding_length(args.hidden_size)
    writer.add_feed_forward_length(args.intermediate_size)
    writer.add_context_length(args.max_position_embeddings)
    writer.add_head_count(args.num_attention_heads)
    writer.add_head_count_kv(args.num_key_value_heads)
    writer.add_layer_norm_rms_eps(args.rms_norm_eps)
    writer.add_rope_freq_base(args.rope_theta)
    if args.head_dim:
        writer.add_key_length(args.head_dim)
        writer.add_value_length(args.head_dim)
    if gemma:
        writer.add_sliding_window(args.sliding_window)
    scaling = args.rope_scaling or {}
    if scaling.get("type", scaling.get("rope_type")) == "linear":
        writer.add_string(f"{writer.arch}.rope.scaling.type", "linear")
        writer.add_rope_scaling_factor(scaling["factor"])
    if scaling.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(args, scaling))
    for key, value in weights:
        if value.ndim == 1:
            value = value + np.float32(1) if gemma else value
        else:
            if not gemma and ("q_proj" in key or "k_proj" in key):
                heads = args.num_attention_heads if "q_proj" in key else args.num_key_value_heads
                value = permuted(value, heads)
            value = value.astype(np.float16)
        writer.add_tensor(gguf_name(key, GEMMA_NAMES if gemma else LLAMA_NAMES),
                          np.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_case(folder, seed, name, module, settings, count, traits):
    rng = np.random.default_rng(seed)
    args = module.ModelArgs(**settings)
    model = module.Model(args)
    if module is gemma3_text:  # it has a head of its own unless told that there is none
        model.sanitize({})
    weights = seeded_weights(model, rng)
    model.load_weights([(key, mx.array(value)) for key, value in weights])
    tokens = rng.integers(0, args.vocab_size, count).astype(np.int32)
    logits = np.array(model(mx.array(tokens)[None])[0], dtype=np.float32)

    path = folder / f"{name}.gguf"
    write_gguf(path, name, args, weights)
    largest = np.abs(logits).max()
    error = np.abs(ReferenceModel(path, np.float64).logits(tokens) - logits).max() / largest
    half = ReferenceModel(path, np.float64, half_kv=True).logits(tokens).astype(np.float32)
    print(f"{name}: {path.stat().st_size} bytes, largest |logit| {largest:.2f}, "
          f"mlx-lm and numpy differ by {error:.1e} of it, a half-precision cache costs "
          f"{np.abs(half - logits).max() / largest:.1e}")
    if error > TOLERANCE / 20:
        sys.exit(f"{name}: the two references disagree")
    for trait, remove in traits.items():
        without = ReferenceModel(path, np.float64)
        remove(without)
        miss = np.abs(without.logits(tokens) - logits).max() / largest
        print(f"    without its {trait}: {miss:.2e}")
        if miss < TRAIT * TOLERANCE:
            sys.exit(f"{name}: {trait} does not show")
    header = struct.pack("<II", count, args.vocab_size)
    (folder / f"{name}.bin").write_bytes(header + tokens.tobytes() + logits.tobytes() +
                                          half.tobytes())


def main():
    mx.set_default_device(mx.cpu)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, (module, settings, count, traits)) in enumerate(CASES.items(), 1):
        make_case(folder, seed, name, module, settings, count, traits)


if __name__ == "__main__":
    main()
