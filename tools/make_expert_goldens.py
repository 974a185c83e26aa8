#!/usr/bin/env python3
"""Makes the models with experts of tests/data/hf, as make_hf_goldens.py makes the dense ones: tiny
seeded Hugging Face folders of mixtral, qwen2_moe, qwen3_moe and gpt_oss (its experts in BF16 and in
MXFP4), and their logits as transformers computes them in float32 on the CPU.

    python tools/make_expert_goldens.py OUT_DIR [CASE ...]

make_hf_goldens.py says what it needs and what the files hold. Two things must hold before a case is
written. No token's choice of experts is a near tie, so that rounding cannot change it, and a
half-precision cache leaves room for other errors: seeds are tried until the smallest gap behind the
last expert chosen is GAP and the cache costs at most HALF. And each trait of a case must show: the
model without it misses the logits by TRAIT times the tolerance or more.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.modeling_utils import AttentionInterface

from make_hf_goldens import RMS, TOLERANCE, TRAIT, build, logits_of, write_logits

GAP = 0.015  # of router logits, which a half-precision cache moves by some 1e-3
HALF = TOLERANCE * 0.6
SEEDS = 400

SMALL = RMS | dict(hidden_size=48, num_attention_heads=3, num_key_value_heads=1, vocab_size=75)
# Widths that are no multiples of 16 rows.
MIXTRAL = SMALL | dict(
    architectures=["MixtralForCausalLM"], model_type="mixtral", intermediate_size=24,
    num_local_experts=5, num_experts_per_tok=2, sliding_window=None)
QWEN2 = SMALL | dict(
    architectures=["Qwen2MoeForCausalLM"], model_type="qwen2_moe", intermediate_size=72,
    moe_intermediate_size=24, shared_expert_intermediate_size=40, num_experts=6,
    num_experts_per_tok=3, decoder_sparse_step=1, mlp_only_layers=[], norm_topk_prob=False,
    use_sliding_window=False, sliding_window=64, max_window_layers=1)
QWEN3 = SMALL | dict(
    architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", intermediate_size=72,
    head_dim=32, moe_intermediate_size=24, num_experts=7, num_experts_per_tok=3,
    decoder_sparse_step=1, mlp_only_layers=[], norm_topk_prob=True, attention_bias=False,
    use_sliding_window=False, sliding_window=None)
# The pairs of a head of 32 fall into all three bands of YaRN; most tokens lie beyond the window.
YARN = dict(rope_type="yarn", factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
            original_max_position_embeddings=300)
GPT_OSS = SMALL | dict(
    architectures=["GptOssForCausalLM"], model_type="gpt_oss", hidden_size=64, intermediate_size=32,
    num_attention_heads=4, num_key_value_heads=2, head_dim=32, num_local_experts=5,
    num_experts_per_tok=2, experts_per_token=2, sliding_window=12,
    layer_types=["sliding_attention", "full_attention"], rope_theta=5_000.0, rope_scaling=YARN,
    attention_bias=True, swiglu_limit=7.0, max_position_embeddings=1200)


# Each gives the model with a trait taken away.
def change(**fields):
    return lambda config, weights: (build(config | fields), weights)


def zero(part):
    return lambda config, weights: (build(config), {
        k: torch.zeros_like(v) if part in k else v for k, v in weights.items()})


def no_sinks(config, weights):
    return build(config), {k: torch.full_like(v, -1e4) if "sinks" in k else v
                           for k, v in weights.items()}


def no_clamp(config, weights):
    model = build(config)
    for layer in model.model.layers:
        layer.mlp.experts.limit = 1e9
    return model, weights


OSS_TRAITS = {
    "sinks": no_sinks, "clamp": no_clamp, "window": change(sliding_window=1000),
    "window by one": change(sliding_window=13),
    "yarn's factor": change(rope_scaling=YARN | dict(factor=1.0)),
    "yarn's ends": change(rope_scaling=YARN | dict(truncate=True)),
    "router's bias": zero("router.bias"), "gate's and up's bias": zero("gate_up_proj_bias"),
    "down's bias": zero("down_proj_bias"), "output's bias": zero("o_proj.bias"),
    "query's bias": zero("q_proj.bias"),
}
# name: (config, tokens, MXFP4, traits). 280 tokens are more than one attention range of 256.
CASES = {
    "mixtral": (MIXTRAL, 64, False, {"number of experts": change(num_experts_per_tok=1)}),
    "qwen2_moe": (QWEN2, 64, False, {
        "plain softmax": change(norm_topk_prob=True),
        "shared expert": zero("shared_expert.down_proj"),
        "shared expert's gate": zero("shared_expert_gate"), "biases": zero("q_proj.bias")}),
    "qwen3_moe": (QWEN3, 64, False, {
        "weights that add up to 1": change(norm_topk_prob=False)}),
    "gpt_oss": (GPT_OSS, 64, False, OSS_TRAITS),
    "gpt_oss_mxfp4": (GPT_OSS | dict(
        intermediate_size=64, num_local_experts=4, num_experts_per_tok=3, experts_per_token=3), 280,
        True, OSS_TRAITS),
}

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)


def half_kv_sinks(module, query, key, value, attention_mask, scaling=None, dropout=0.0, s_aux=None,
                  **unused):
    """As make_hf_goldens.py's, with a logit more for each head, whose value is zero."""
    groups = query.shape[1] // key.shape[1]
    key = key.half().float().repeat_interleave(groups, dim=1)
    value = value.half().float().repeat_interleave(groups, dim=1)
    scores = (query @ key.transpose(2, 3)) * scaling + attention_mask[..., :key.shape[2]]
    sinks = s_aux.reshape(1, -1, 1, 1).expand(scores.shape[0], -1, scores.shape[2], 1)
    shares = torch.softmax(torch.cat([scores, sinks], dim=-1), dim=-1)[..., :-1]
    return (shares @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register("half_kv_sinks", half_kv_sinks)
AttentionMaskInterface.register("half_kv_sinks", eager_mask)


def random_mxfp4(rng, shape):
    """Blocks and scales as files keep [experts, rows, cols], and what they stand for."""
    experts, rows, cols = shape
    codes = rng.integers(0, 16, (experts, rows, cols // 32, 32)).astype(np.uint8)
    middle = 127 + round(float(np.log2(2 / cols ** 0.5 / 3)))
    scales = rng.integers(middle - 1, middle + 2, codes.shape[:3]).astype(np.uint8)
    values = np.where(codes & 8, -1, 1) * E2M1[codes & 7]
    values = values * np.exp2(scales.astype(np.float32) - 127)[..., None]
    blocks = codes[..., 0::2] | (codes[..., 1::2] << 4)  # neighbours share a byte
    return (torch.from_numpy(blocks), torch.from_numpy(scales),
            torch.from_numpy(values.reshape(shape).astype(np.float32)))


def gain_of(name, oss):
    for part, gain in {"embed": 4.0, "router.weight": 2.0, "mlp.gate.weight": 2.0,
                       "lm_head": 1.5}.items():
        if part in name:
            return gain
    if oss and ("q_proj" in name or "k_proj" in name):
        return 0.9
    return 3.0 if oss and "gate_up_proj" in name else 1.0  # so that the clamp has something to do


def seeded_weights(model, rng, mxfp4):
    """{name: tensor} of every parameter, exact in BF16; and of MXFP4 matrices what a file keeps."""
    oss = model.config.model_type == "gpt_oss"
    weights, kept = {}, {}
    for name, value in model.named_parameters():
        shape = tuple(value.shape)
        if mxfp4 and name.endswith(("gate_up_proj", "down_proj")):
            experts, inputs, outputs = shape  # files keep rows of inputs
            blocks, scales, values = random_mxfp4(rng, (experts, outputs, inputs))
            kept[name + "_blocks"], kept[name + "_scales"] = blocks, scales
            weights[name] = values.transpose(1, 2).contiguous()
            continue
        if "bias" in name:
            values = 0.4 * rng.standard_normal(shape)
        elif "sinks" in name:
            values = 1 + rng.standard_normal(shape)
        elif "norm" in name:
            values = 1 + 0.3 * rng.standard_normal(shape)
        else:
            inputs = shape[1] if oss and len(shape) == 3 else shape[-1]
            values = gain_of(name, oss) / np.sqrt(inputs) * rng.standard_normal(shape)
        weights[name] = torch.from_numpy(values.astype(np.float32)).bfloat16().float()
    return weights, kept


def published(model_type, weights):
    """The tensors under the names that makers' files have: one for each expert's matrix."""
    out = {}
    for name, value in weights.items():
        if model_type == "gpt_oss" or ".experts." not in name or value.ndim != 3:
            if model_type == "mixtral":
                name = name.replace(".mlp.", ".block_sparse_moe.")
            out[name] = value
            continue
        stem = name[:name.index("experts.") + len("experts.")]
        names = ("gate_proj", "up_proj", "down_proj")
        if model_type == "mixtral":
            stem, names = stem.replace(".mlp.", ".block_sparse_moe."), ("w1", "w3", "w2")
        for expert, matrix in enumerate(value):
            if name.endswith("gate_up_proj"):
                gate, up = matrix.chunk(2)
                out[f"{stem}{expert}.{names[0]}.weight"] = gate
                out[f"{stem}{expert}.{names[1]}.weight"] = up
            else:
                out[f"{stem}{expert}.{names[2]}.weight"] = matrix
    return out


def smallest_gap(config, weights, tokens):
    """Between the last expert chosen and the first that is not, over tokens and layers."""
    used = config["num_experts_per_tok"]
    model = build(config)
    gaps = []

    def look(router, inputs, _):
        x = inputs[0].reshape(-1, router.weight.shape[-1])
        logits = torch.nn.functional.linear(x, router.weight, getattr(router, "bias", None))
        top = logits.sort(dim=-1, descending=True).values
        gaps.append((top[:, used - 1] - top[:, used]).min().item())

    for name, module in model.named_modules():
        if name.endswith(("mlp.gate", "mlp.router", "block_sparse_moe.gate")):
            module.register_forward_hook(look)
    logits_of(model, weights, tokens)
    if len(gaps) != config["num_hidden_layers"]:
        sys.exit(f"{len(gaps)} routers of {config['num_hidden_layers']} layers were seen")
    return min(gaps)


def insist_on_traits(name, traits, config, weights, tokens, logits):
    """Each is taken away in turn, and the logits must move by many tolerances."""
    largest = np.abs(logits).max()
    for trait, remove in traits.items():
        miss = np.abs(logits_of(*remove(config, weights), tokens) - logits).max() / largest
        print(f"    without its {trait}: {miss:.2e}")
        if miss < TRAIT * TOLERANCE:
            sys.exit(f"{name}: {trait} does not show")


def make_case(root, name, config, count, mxfp4, traits):
    attention = "half_kv_sinks" if config["model_type"] == "gpt_oss" else "half_kv"
    for seed in range(SEEDS):
        rng = np.random.default_rng(1000 + seed)
        weights, kept = seeded_weights(build(config), rng, mxfp4)
        tokens = rng.integers(0, config["vocab_size"], count).astype(np.int32)
        gap = smallest_gap(config, weights, tokens)
        if gap < GAP:
            continue
        logits = logits_of(build(config), weights, tokens)
        half = logits_of(build(config), weights, tokens, attention)
        largest = np.abs(logits).max()
        cost = np.abs(half - logits).max() / largest
        if cost <= HALF:
            break
    else:
        sys.exit(f"{name}: every seed has near ties")
    print(f"{name}: seed {seed}, smallest gap {gap:.3f}, largest |logit| {largest:.2f}, a "
          f"half-precision cache costs {cost:.1e} of it")
    insist_on_traits(name, traits, config, weights, tokens, logits)

    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    if mxfp4:
        config = config | dict(quantization_config=dict(
            quant_method="mxfp4", modules_to_not_convert=[
                "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens",
                "lm_head"]))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_logits(folder / "logits.bin", tokens, 0, logits, half)
    tensors = {k: v.bfloat16().contiguous()
               for k, v in published(config["model_type"], weights).items()
               if k + "_blocks" not in kept}
    save_file(tensors | kept, folder / "model.safetensors", metadata={"format": "pt"})


def main():
    torch.set_num_threads(1)
    root = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or CASES:
        make_case(root, name, *CASES[name])


if __name__ == "__main__":
    main()
