#!/usr/bin/env python3
"""Makes the models with gated delta rules of tests/data/hf, as make_routed_goldens.py does: tiny
seeded folders of qwen3_next, qwen3_5 and qwen3_5_moe (as the language model of one that sees).

    python tools/make_delta_goldens.py OUT_DIR [CASE ...]

What must hold before a case is written is what make_expert_goldens.py says. Each folder has layers
that only guess at further tokens, as makers' folders do; nothing of them may count.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file

from make_expert_goldens import GAP, HALF, SEEDS, change, insist_on_traits, zero
from make_hf_goldens import NULLS, RMS, build, logits_of, write_logits

ROPE = dict(rope_type="default", rope_theta=1_000.0, partial_rotary_factor=0.25)
SECTIONS = dict(mrope_section=[2, 1, 1], mrope_interleaved=True)
# Two key heads with three value heads each: no order of heads is like another.
SMALL = RMS | dict(
    hidden_size=32, num_hidden_layers=4, num_attention_heads=2, num_key_value_heads=1, head_dim=32,
    vocab_size=75, intermediate_size=40, rope_theta=None, rope_parameters=ROPE, rms_norm_eps=1e-6,
    attention_bias=False, linear_conv_kernel_dim=4, linear_key_head_dim=32, full_attention_interval=4,
    linear_value_head_dim=32, linear_num_key_heads=2, linear_num_value_heads=6)
# mlx-lm quantises routers in groups of 64 whatever it is asked for.
EXPERTS = dict(hidden_size=64, linear_num_value_heads=4, num_hidden_layers=3,
               full_attention_interval=3, num_experts=6, num_experts_per_tok=2,
               moe_intermediate_size=24, shared_expert_intermediate_size=40)
NEXT = SMALL | EXPERTS | dict(
    architectures=["Qwen3NextForCausalLM"], model_type="qwen3_next", decoder_sparse_step=1,
    mlp_only_layers=[], norm_topk_prob=True, rope_parameters=None, rope_scaling=None,
    rope_theta=1_000.0, partial_rotary_factor=0.25)
DENSE = SMALL | dict(
    architectures=["Qwen3_5ForCausalLM"], model_type="qwen3_5_text", attn_output_gate=True,
    tie_word_embeddings=True, rope_parameters=ROPE | SECTIONS, mtp_num_hidden_layers=1,
    mamba_ssm_dtype="float32",
    layer_types=["linear_attention", "full_attention", "linear_attention", "linear_attention"])
MOE = SMALL | EXPERTS | dict(
    architectures=["Qwen3_5MoeForCausalLM"], model_type="qwen3_5_moe_text", attn_output_gate=True,
    rope_parameters=ROPE | SECTIONS, intermediate_size=None)


def weights_with(part, edit):
    """A model whose weights of this name are edited."""
    def made(config, weights):
        out = dict(weights)
        hit = [name for name in weights if part in name]
        if not hit:
            sys.exit(f"no weight has {part} in its name")
        for name in hit:
            out[name] = weights[name].clone()
            edit(config, out[name])
        return build(config), out
    return made


def no_oldest(config, value):
    value[..., 0] = 0


def no_decay(config, value):
    value.fill_(-30.0)


def no_gate(config, value):
    value.view(config["num_attention_heads"], 2, config["head_dim"], -1)[:, 1] = 0


def to_ones(config, value):
    value.fill_(1.0)


def turned_heads(config, value):
    """Value heads of another key head."""
    heads = value.shape[0] // config["linear_num_value_heads"]
    value.copy_(value.roll(heads, 0))


TRAITS = {
    "oldest token": weights_with("conv1d", no_oldest), "forgetting": weights_with("A_log", no_decay),
    "bias of forgetting": zero("dt_bias"), "attention's gate": weights_with("q_proj", no_gate),
    "norm of outputs": weights_with("linear_attn.norm", to_ones),
    "q norm": zero("q_norm"), "k norm": zero("k_norm"),
    "partial rotation": change(rope_parameters=ROPE | dict(partial_rotary_factor=1.0)),
    "delta rules": zero("linear_attn.out_proj"),
}
ROUTED = {
    "weights that add up": change(num_experts_per_tok=1),
    "shared expert": zero("shared_expert.down_proj"),
    "shared expert's gate": zero("shared_expert_gate"),
}
SPLIT = {
    "output's gate": zero("in_proj_z"), "learning": zero("in_proj_b"),
    "order of value heads": weights_with("in_proj_a", turned_heads),
}
# name: (config, tokens, traits). 280 tokens are more than one attention range of 256.
CASES = {
    "qwen3_next": (NEXT, 64, TRAITS | ROUTED | {
        "learning": zero("in_proj_ba"), "partial rotation": change(partial_rotary_factor=1.0)}),
    "qwen3_5": (DENSE, 280, TRAITS | SPLIT),
    "qwen3_5_moe": (MOE, 64, TRAITS | ROUTED | SPLIT),
}


def gain_of(name):
    for part, gain in {"embed": 4.0, "mlp.gate.weight": 2.0, "conv1d": 1.7, "lm_head": 1.5,
                       "in_proj": 1.3}.items():
        if part in name:
            return gain
    return 1.0


def seeded_weights(model, rng):
    """{name: tensor} of every parameter, exact in BF16."""
    weights = {}
    for name, value in model.named_parameters():
        shape = tuple(value.shape)
        if "A_log" in name:  # from heads that forget little to such that forget most
            values = np.log(rng.uniform(0.02, 1.5, shape))
        elif "dt_bias" in name:
            values = 0.6 * rng.standard_normal(shape)
        elif "norm" in name:
            values = (1.0 if "linear_attn.norm" in name else 0.0) + 0.3 * rng.standard_normal(shape)
        else:
            values = gain_of(name) / np.sqrt(shape[-1]) * rng.standard_normal(shape)
        weights[name] = torch.from_numpy(values.astype(np.float32)).bfloat16().float()
    return weights


def drafts(config, rng):
    """What makers keep of guessing at further tokens."""
    width = config["hidden_size"]
    shapes = {"mtp.fc": (width, 2 * width), "mtp.norm": (width,),
              "mtp.pre_fc_norm_embedding": (width,), "mtp.layers.0.input_layernorm": (width,),
              "mtp.layers.0.self_attn.q_proj": (width, width)}
    return {f"{name}.weight": torch.from_numpy(
        rng.standard_normal(shape).astype(np.float32)).bfloat16().float()
        for name, shape in shapes.items()}


def published(config, weights):
    """The tensors under the names that makers' files have."""
    out = {}
    for name, value in weights.items():
        if config["model_type"] == "qwen3_5_moe_text":
            out[name.replace("model.", "model.language_model.", 1)] = value
        elif config["model_type"] == "qwen3_next" and ".experts." in name:
            stem = name[:name.index("experts.") + len("experts.")]
            for expert, matrix in enumerate(value):
                if name.endswith("gate_up_proj"):
                    gate, up = matrix.chunk(2)
                    out[f"{stem}{expert}.gate_proj.weight"] = gate
                    out[f"{stem}{expert}.up_proj.weight"] = up
                else:
                    out[f"{stem}{expert}.down_proj.weight"] = matrix
        else:
            out[name] = value
    if config["model_type"] == "qwen3_5_moe_text":
        out["model.visual.patch_embed.proj.weight"] = torch.zeros(4, 3)
    return out


def published_config(config):
    kept = {k: v for k, v in config.items() if v is not None or k in NULLS}
    if config["model_type"] != "qwen3_5_moe_text":
        return kept
    kept.pop("architectures")
    return dict(architectures=["Qwen3_5MoeForConditionalGeneration"], model_type="qwen3_5_moe",
                tie_word_embeddings=False, text_config=kept,
                vision_config=dict(model_type="qwen3_5_moe", hidden_size=4))


def smallest_gap(config, weights, tokens):
    """Between the logits of the last expert chosen and of the first that is not."""
    used = config.get("num_experts_per_tok")
    if not used:
        return float("inf")
    gaps = []

    def look(router, inputs, _):
        x = inputs[0].reshape(-1, config["hidden_size"])
        top = torch.nn.functional.linear(x, router.weight).sort(dim=-1, descending=True).values
        gaps.append((top[..., used - 1] - top[..., used]).min().item())

    model = build(config)
    for name, module in model.named_modules():
        if name.endswith("mlp.gate"):
            module.register_forward_hook(look)
    logits_of(model, weights, tokens)
    if not gaps:
        sys.exit("no router was seen")
    return min(gaps)


def make_case(root, name, config, count, traits):
    for seed in range(SEEDS):
        rng = np.random.default_rng(3000 + seed)
        weights = seeded_weights(build(config), rng)
        tokens = rng.integers(0, config["vocab_size"], count).astype(np.int32)
        gap = smallest_gap(config, weights, tokens)
        if gap < GAP:
            continue
        logits = logits_of(build(config), weights, tokens)
        half = logits_of(build(config), weights, tokens, "half_kv")
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
    (folder / "config.json").write_text(json.dumps(published_config(config), indent=2) + "\n")
    write_logits(folder / "logits.bin", tokens, 0, logits, half)
    tensors = {k: v.bfloat16().contiguous()
               for k, v in (published(config, weights) | drafts(config, rng)).items()
               if not (k == "lm_head.weight" and config.get("tie_word_embeddings"))}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def main():
    torch.set_num_threads(1)
    root = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or CASES:
        make_case(root, name, *CASES[name])


if __name__ == "__main__":
    main()
