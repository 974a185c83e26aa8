#!/usr/bin/env python3
"""Makes more models with experts of tests/data/hf, as make_expert_goldens.py does: those that choose
in other ways (sigmoids, a bias while choosing, groups), have dense layers in front or an expert that
every token uses, or attend through latents.

    python tools/make_routed_goldens.py OUT_DIR [CASE ...]

What must hold before a case is written is what make_expert_goldens.py says; a gap is of what the
router ranks: its logits, or scores with their bias, and of groups as well.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file

from make_expert_goldens import GAP, HALF, SEEDS, change, insist_on_traits, zero
from make_hf_goldens import NULLS, RMS, build, logits_of, write_logits

SMALL = RMS | dict(hidden_size=32, num_attention_heads=2, num_key_value_heads=1, vocab_size=75,
                   intermediate_size=40, moe_intermediate_size=24)


def config_of(model_class, model_type, **settings):
    return SMALL | dict(architectures=[model_class], model_type=model_type) | settings


def ones(part):
    return lambda config, weights: (build(config), {
        k: torch.ones_like(v) if part in k else v for k, v in weights.items()})


def no_oldest_token(config, weights):
    """Convolutions over one token less."""
    out = dict(weights)
    for name, value in weights.items():
        if name.endswith("conv.conv.weight"):
            out[name] = value.clone()
            out[name][..., 0] = 0
    return build(config), out


OLMOE = config_of("OlmoeForCausalLM", "olmoe", num_experts=6, num_experts_per_tok=3,
                  norm_topk_prob=False, clip_qkv=None, intermediate_size=24,
                  moe_intermediate_size=None)
GRANITE = config_of(
    "GraniteMoeSharedForCausalLM", "granitemoeshared", num_local_experts=5, num_experts_per_tok=2,
    intermediate_size=24, shared_intermediate_size=40, embedding_multiplier=3.0,
    residual_multiplier=0.4, attention_multiplier=0.35, logits_scaling=2.5)
GLM4 = config_of(
    "Glm4MoeForCausalLM", "glm4_moe", num_hidden_layers=3, head_dim=32, partial_rotary_factor=0.5,
    attention_bias=True, use_qk_norm=True, n_routed_experts=6, num_experts_per_tok=2,
    n_shared_experts=2, routed_scaling_factor=1.7, n_group=1, topk_group=1,
    first_k_dense_replace=1, norm_topk_prob=True, num_nextn_predict_layers=1)
DOTS1 = config_of(
    "Dots1ForCausalLM", "dots1", head_dim=32, n_routed_experts=8, num_experts_per_tok=2,
    n_shared_experts=2, routed_scaling_factor=1.7, n_group=4, topk_group=2,
    first_k_dense_replace=1, norm_topk_prob=True, sliding_window=4096, max_window_layers=2)
ERNIE = config_of(
    "Ernie4_5_MoeForCausalLM", "ernie4_5_moe", num_hidden_layers=3, moe_num_experts=6, moe_k=2,
    moe_num_shared_experts=2, moe_layer_start_index=1, moe_layer_end_index=2, moe_layer_interval=1,
    use_bias=False, tie_word_embeddings=True)
HUNYUAN = config_of(
    "HunYuanMoEV1ForCausalLM", "hunyuan_v1_moe", head_dim=32, num_experts=5, moe_topk=[2, 2],
    num_shared_expert=[1, 1], intermediate_size=24, moe_intermediate_size=[24, 24],
    attention_bias=False, tie_word_embeddings=True)

# 128 of a head's values are many for a model of 32, so all are a quarter of what they are.
LATENT = dict(num_key_value_heads=2, kv_lora_rank=32, qk_nope_head_dim=32, qk_rope_head_dim=16,
              v_head_dim=16, attention_bias=False, rms_norm_eps=1e-6)
MSCALE = dict(type="yarn", factor=8.0, beta_fast=32, beta_slow=1, mscale=0.707,
              mscale_all_dim=0.707, original_max_position_embeddings=32)
V2 = config_of(
    "DeepseekV2ForCausalLM", "deepseek_v2", **LATENT, q_lora_rank=None, n_routed_experts=6,
    num_experts_per_tok=2, n_shared_experts=2, routed_scaling_factor=1.5, topk_method="greedy",
    n_group=1, topk_group=1, first_k_dense_replace=1, norm_topk_prob=False,
    max_position_embeddings=512, rope_scaling=MSCALE, rope_theta=1_000.0)
V2_GROUPS = V2 | dict(
    q_lora_rank=24, topk_method="group_limited_greedy", n_routed_experts=8, n_group=4,
    topk_group=2, rope_scaling=None, num_experts_per_tok=3)
V3 = config_of(
    "DeepseekV3ForCausalLM", "deepseek_v3", **LATENT, q_lora_rank=24, n_routed_experts=8,
    num_experts_per_tok=3, n_shared_experts=1, routed_scaling_factor=2.5, topk_method="noaux_tc",
    n_group=4, topk_group=2, first_k_dense_replace=1, norm_topk_prob=True,
    scoring_func="sigmoid", max_position_embeddings=512,
    rope_scaling=MSCALE | dict(mscale=1.0, mscale_all_dim=1.0), rope_theta=1_000.0)
GLM_LITE = config_of(
    "Glm4MoeLiteForCausalLM", "glm4_moe_lite", **(LATENT | dict(rms_norm_eps=1e-5)),
    q_lora_rank=24, n_routed_experts=6, num_experts_per_tok=2, n_shared_experts=1,
    routed_scaling_factor=1.8, topk_method="noaux_tc", n_group=1, topk_group=1,
    first_k_dense_replace=1, norm_topk_prob=True)

FULL = dict(rope_type="proportional", partial_rotary_factor=0.25, rope_theta=50_000.0)
LOCAL = dict(rope_type="default", rope_theta=1_000.0)
GEMMA4 = config_of(
    "Gemma4ForCausalLM", "gemma4_text", num_hidden_layers=4, intermediate_size=32, rms_norm_eps=1e-6,
    num_attention_heads=2, num_key_value_heads=1, head_dim=16, global_head_dim=32,
    tie_word_embeddings=True, hidden_activation="gelu_pytorch_tanh", sliding_window=12,
    layer_types=["sliding_attention", "full_attention"] * 2, final_logit_softcapping=30.0,
    rope_parameters=dict(full_attention=FULL, sliding_attention=LOCAL), rope_theta=None,
    moe_intermediate_size=None, vocab_size_per_layer_input=75, hidden_act=None)
# The small models', whose last layers keep nothing; the large one's; the MoE's.
GEMMA4_E = GEMMA4 | dict(hidden_size_per_layer_input=16, num_kv_shared_layers=2,
                         use_double_wide_mlp=True)
GEMMA4_MOE = GEMMA4 | dict(
    num_hidden_layers=2, layer_types=["sliding_attention", "full_attention"],
    hidden_size_per_layer_input=0, attention_k_eq_v=True, num_global_key_value_heads=2,
    num_key_value_heads=1, enable_moe_block=True, num_experts=5, top_k_experts=2,
    moe_intermediate_size=24)

LFM2 = config_of(
    "Lfm2ForCausalLM", "lfm2", num_hidden_layers=4, intermediate_size=None, block_ff_dim=56,
    block_multiple_of=16, block_ffn_dim_multiplier=1.0, block_auto_adjust_ff_dim=True,
    norm_eps=1e-5, conv_L_cache=3, conv_bias=False, tie_embedding=True, tie_word_embeddings=True,
    moe_intermediate_size=None, layer_types=["conv", "full_attention", "conv", "conv"])
LFM2_MOE = config_of(
    "Lfm2MoeForCausalLM", "lfm2_moe", num_hidden_layers=3, norm_eps=1e-5, conv_L_cache=3,
    conv_bias=False, num_dense_layers=1, num_experts=6, num_experts_per_tok=2, use_expert_bias=True,
    norm_topk_prob=True, routed_scaling_factor=1.0, tie_word_embeddings=True,
    layer_types=["conv", "full_attention", "conv"])

EIGHT = dict(type="longrope", original_max_position_embeddings=64,
             short_factor=[1.0 + 0.1 * i for i in range(8)],
             long_factor=[1.0 + 0.8 * i for i in range(8)])
MINICPM3 = config_of(
    "MiniCPM3ForCausalLM", "minicpm3", **(LATENT | dict(rms_norm_eps=1e-5)), q_lora_rank=24,
    moe_intermediate_size=None, tie_word_embeddings=True, scale_emb=3, scale_depth=1.2,
    dim_model_base=16, rope_scaling=EIGHT, max_position_embeddings=512)
# transformers has no Ling 2.0: it is its GLM-4.5 with other names, and q, k and v in one.
GLM_OF_BAILING = GLM4 | dict(attention_bias=False, head_dim=16, n_routed_experts=8, n_group=4,
                             topk_group=2, n_shared_experts=1)
BAILING = {key: value for key, value in GLM_OF_BAILING.items()
           if key not in ("attention_bias", "n_routed_experts", "n_shared_experts")} | dict(
    architectures=["BailingMoeV2ForCausalLM"], model_type="bailing_moe", num_experts=8,
    num_shared_experts=1, moe_shared_expert_intermediate_size=24, score_function="sigmoid",
    use_bias=False, use_qkv_bias=False, norm_head=False, moe_router_enable_expert_bias=True,
    rotary_dim=8)
MINIMAX = config_of(
    "MiniMaxM2ForCausalLM", "minimax_m2", head_dim=32, intermediate_size=24, rotary_dim=16,
    moe_intermediate_size=None, num_local_experts=6, num_experts_per_tok=2, scoring_func="sigmoid",
    use_qk_norm=True, qk_norm_type="per_layer", use_routing_bias=True, attn_type_list=[1, 1],
    shared_intermediate_size=0)
MSCALES = dict(type="longrope", short_factor=[1.0 + 0.5 * i for i in range(8)],
               long_factor=[1.0 + 0.5 * i for i in range(8)], short_mscale=1.3, long_mscale=1.3,
               original_max_position_embeddings=64)
PHIMOE = config_of(
    "PhimoeForCausalLM", "phimoe", num_hidden_layers=1, intermediate_size=24, attention_bias=True,
    lm_head_bias=True, moe_intermediate_size=None, num_local_experts=5, num_experts_per_tok=2,
    router_jitter_noise=0.01, input_jitter_noise=0.01, sliding_window=12, rope_scaling=MSCALES,
    original_max_position_embeddings=64, max_position_embeddings=512)
# What the folder says, where it is not what transformers is told.
WRITTEN = {"bailing_moe": BAILING}

# name: (config, tokens, traits). 280 tokens are more than one attention range of 256.
CASES = {
    "olmoe": (OLMOE, 64, {
        "plain softmax": change(norm_topk_prob=True), "q norm": ones("q_norm"),
        "k norm": ones("k_norm")}),
    "granitemoe": (GRANITE, 64, {
        "number of experts": change(num_experts_per_tok=1),
        "shared expert": zero("shared_mlp.output_linear"),
        "logit scale": change(logits_scaling=1.0)}),
    "glm4_moe": (GLM4, 64, {
        "bias of the choice": zero("e_score_correction_bias"),
        "weights that add up": change(norm_topk_prob=False),
        "weights' scale": change(routed_scaling_factor=1.0),
        "shared experts": zero("shared_experts.down_proj"), "q norm": ones("q_norm"),
        "partial rotation": change(partial_rotary_factor=1.0), "biases": zero("q_proj.bias")}),
    "dots1": (DOTS1, 64, {
        "bias of the choice": zero("e_score_correction_bias"),
        "groups": change(n_group=1, topk_group=1), "groups used": change(topk_group=3),
        "shared experts": zero("shared_experts.down_proj"), "q norm": ones("q_norm")}),
    "ernie4_5_moe": (ERNIE, 64, {
        "bias of the choice": zero("e_score_correction_bias"),
        "shared experts": zero("shared_experts.down_proj")}),
    "hunyuan_moe": (HUNYUAN, 64, {
        "number of experts": change(moe_topk=[1, 1]),
        "shared expert": zero("shared_mlp.down_proj"), "q norm": ones("query_layernorm")}),
    "deepseek_v2": (V2, 280, {
        "yarn": change(rope_scaling=None), "weights' scale": change(routed_scaling_factor=1.0),
        "scale of attention": change(rope_scaling=MSCALE | dict(mscale=0.0, mscale_all_dim=0.0,
                                                                attention_factor=1.0)),
        "latent's norm": ones("kv_a_layernorm")}),
    "deepseek_v2_groups": (V2_GROUPS, 64, {
        "groups": change(topk_method="greedy"), "groups used": change(topk_group=3),
        "queries' latent's norm": ones("q_a_layernorm")}),
    "deepseek_v3": (V3, 80, {
        "bias of the choice": zero("e_score_correction_bias"),
        "groups": change(n_group=1, topk_group=1), "groups used": change(topk_group=3),
        "weights that add up": change(norm_topk_prob=False),
        "pairs of neighbours": change(rope_interleave=False)}),
    "gemma4": (GEMMA4_E, 64, {
        "window": change(sliding_window=10_000), "window by one": change(sliding_window=13),
        "layers' inputs": zero("per_layer_projection.weight"),
        "inputs' table": zero("embed_tokens_per_layer"),
        "layers' scales": ones("layer_scalar"), "logit cap": change(final_logit_softcapping=40.0),
        "part of the pairs": change(rope_parameters=dict(
            full_attention=FULL | dict(partial_rotary_factor=1.0), sliding_attention=LOCAL)),
        "local base": change(rope_parameters=dict(
            full_attention=FULL, sliding_attention=LOCAL | dict(rope_theta=50_000.0)))}),
    "gemma4_moe": (GEMMA4_MOE, 64, {
        "experts": zero("experts.down_proj"), "dense part": zero("mlp.down_proj"),
        "router's scale": ones("router.scale"), "experts' scales": ones("per_expert_scale"),
        "norm of the experts' input": ones("pre_feedforward_layernorm_2"),
        "layers' scales": ones("layer_scalar")}),
    "lfm2": (LFM2, 64, {
        "oldest token": no_oldest_token, "q norm": ones("q_layernorm"),
        "k norm": ones("k_layernorm"), "gates": zero("conv.in_proj")}),
    "lfm2_moe": (LFM2_MOE, 64, {
        "oldest token": no_oldest_token, "bias of the choice": zero("expert_bias"),
        "weights that add up": change(norm_topk_prob=False)}),
    "minimax_m2": (MINIMAX, 64, {
        "bias of the choice": zero("e_score_correction_bias"), "q norm": ones("q_norm"),
        "k norm": ones("k_norm"), "partial rotation": change(rotary_dim=32)}),
    "phimoe": (PHIMOE, 24, {
        "shares": change(router_jitter_noise=0.0001), "norm biases": zero("layernorm.bias"),
        "biases": zero("q_proj.bias"), "output's bias": zero("lm_head.bias"),
        "window": change(sliding_window=100), "window by one": change(sliding_window=13),
        "factors": change(rope_scaling=MSCALES | dict(short_factor=[1.0] * 8)),
        "magnitude": change(rope_scaling=MSCALES | dict(short_mscale=1.0))}),
    "minicpm3": (MINICPM3, 280, {
        "embedding scale": change(scale_emb=1), "depth scale": change(scale_depth=1.4),
        "logit scale": change(dim_model_base=32), "latent's norm": ones("kv_a_layernorm"),
        "queries' latent's norm": ones("q_a_layernorm"),
        "long factors": change(rope_scaling=EIGHT | dict(long_factor=EIGHT["short_factor"]))}),
    "bailing_moe": (GLM_OF_BAILING, 64, {
        "bias of the choice": zero("e_score_correction_bias"),
        "groups": change(n_group=1, topk_group=1), "groups used": change(topk_group=3),
        "weights that add up": change(norm_topk_prob=False),
        "weights' scale": change(routed_scaling_factor=1.0),
        "shared expert": zero("shared_experts.down_proj"), "q norm": ones("q_norm"),
        "partial rotation": change(partial_rotary_factor=1.0)}),
    "glm4_moe_lite": (GLM_LITE, 64, {
        "bias of the choice": zero("e_score_correction_bias"),
        "weights' scale": change(routed_scaling_factor=1.0)}),
}


def gain_of(name):
    for part, gain in {"embed": 4.0, "gate.weight": 2.0, "wg.weight": 2.0, "conv.conv": 1.7, "router.weight": 2.0,
                       "router.proj": 10.0, "lm_head": 1.5}.items():
        if part in name:
            return gain
    return 1.0


def seeded_weights(model, rng):
    """{name: tensor} of every parameter and of the routers' biases, exact in BF16."""
    weights = {}
    buffers = {k: v for k, v in model.named_buffers() 
               if "e_score" in k or "layer_scalar" in k or "expert_bias" in k}
    for name, value in list(model.named_parameters()) + list(buffers.items()):
        shape = tuple(value.shape)
        if "e_score" in name or "expert_bias" in name:  # among scores from 0 to 1
            values = 0.2 * rng.standard_normal(shape)
        elif "bias" in name:
            values = 0.4 * rng.standard_normal(shape)
        elif "norm" in name or name.endswith(("scale", "scalar")):
            values = 1 + 0.3 * rng.standard_normal(shape)
        else:
            values = gain_of(name) / np.sqrt(shape[-1]) * rng.standard_normal(shape)
        weights[name] = torch.from_numpy(values.astype(np.float32)).bfloat16().float()
    for name in weights:
        if "router" in name and model.config.model_type == "phimoe":
            # Scores that are near to each other, as seen from zero.
            bias = weights[name.replace("mlp.router.weight", "post_attention_layernorm.bias")]
            weights[name] = (weights[name] + 12 * bias / (bias @ bias)).bfloat16().float()
    return weights


def mixer_gap(config, weights, tokens):
    """SparseMixer's: between the best scores, and between a share and the one that counts."""
    gaps = []

    def look(router, inputs, _):
        logits = torch.nn.functional.linear(inputs[0].reshape(-1, config["hidden_size"]),
                                            router.weight)
        for scores in logits:
            top = scores.sort(descending=True).values
            gaps.extend((top[0] - top[1], top[1] - top[2]))
            for best, others in ((top[0], scores), (top[1], scores[scores < top[0]])):
                edge = 2 * config["router_jitter_noise"] * others.abs().clamp(min=best)
                gaps.extend(abs(best - others - edge))

    model = build(config)
    for name, module in model.named_modules():
        if name.endswith("mlp.router"):
            module.register_forward_hook(look)
    logits_of(model, weights, tokens)
    return min(gaps).item() * MIXER_SHARE




MIXER_SHARE = 5  # so many thresholds leave less room


def draft_layer(config, weights, rng):
    """A layer behind the last one that has what makers keep there; nothing of it may count."""
    last = config["num_hidden_layers"] - 1
    width = config["hidden_size"]
    out = {}
    for name, value in weights.items():
        if name.startswith(f"model.layers.{last}."):
            out[name.replace(f"layers.{last}.", f"layers.{last + 1}.")] = torch.full_like(value, 0.5)
    stem = f"model.layers.{last + 1}."
    for name, shape in {"eh_proj": (width, 2 * width), "enorm": (width,), "hnorm": (width,),
                        "shared_head.norm": (width,)}.items():
        out[f"{stem}{name}.weight"] = torch.from_numpy(
            rng.standard_normal(shape).astype(np.float32)).bfloat16().float()
    return out


def bailing(weights):
    out = {}
    for name, value in weights.items():
        if ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            value = torch.cat([weights[name.replace("q_proj", part)]
                               for part in ("q_proj", "k_proj", "v_proj")])
        for part, other in {
                "self_attn.q_proj": "attention.query_key_value", "self_attn.o_proj": "attention.dense",
                "self_attn.q_norm": "attention.query_layernorm",
                "self_attn.k_norm": "attention.key_layernorm", "embed_tokens": "word_embeddings",
                "gate.e_score_correction_bias": "gate.expert_bias",
                "shared_head.norm": "final_layernorm"}.items():
            name = name.replace(part, other)
        out[name] = value
    return out


def published(config, weights, name=None):
    """The tensors under the names that makers' files have."""
    model_type = config["model_type"]
    if name == "bailing_moe":
        return bailing(published(config, weights))
    out = {}
    for name, value in weights.items():
        if "gemma4" in model_type:
            out[name] = value
            continue
        if model_type == "lfm2_moe" and ".experts." in name:
            stem = name[:name.index("experts.") + len("experts.")]
            for expert, matrix in enumerate(value):
                if name.endswith("gate_up_proj"):
                    gate, up = matrix.chunk(2)
                    out[f"{stem}{expert}.w1.weight"], out[f"{stem}{expert}.w3.weight"] = gate, up
                else:
                    out[f"{stem}{expert}.w2.weight"] = matrix
            continue
        if "granite" in model_type:
            name = name.replace("experts.gate_up_proj", "input_linear.weight")
            name = name.replace("experts.down_proj", "output_linear.weight")
            out[name.replace("moe.router.weight", "moe.router.layer.weight")] = value
            continue
        if model_type in ("minimax_m2", "phimoe"):
            name = name.replace(".mlp.", ".block_sparse_moe.").replace(".router.", ".gate.")
        name = name.replace("mlp.gate.moe_statics", "mlp.moe_statics")
        if ".experts." not in name:
            out[name] = value
            continue
        stem = name[:name.index("experts.") + len("experts.")]
        parts = ("gate_proj", "up_proj", "down_proj")
        if model_type in ("minimax_m2", "phimoe"):
            parts = ("w1", "w3", "w2")
        for expert, matrix in enumerate(value):
            if name.endswith("gate_up_proj"):
                gate, up = matrix.chunk(2)
                out[f"{stem}{expert}.{parts[0]}.weight"] = gate
                out[f"{stem}{expert}.{parts[1]}.weight"] = up
            else:
                out[f"{stem}{expert}.{parts[2]}.weight"] = matrix
    return out


def gap_behind(values, used):
    top = values.sort(dim=-1, descending=True).values
    if used >= top.shape[-1]:
        return float("inf")
    return (top[..., used - 1] - top[..., used]).min().item()


def ranks_of(router, config, x):
    """What the router ranks, and how large a difference of logits is there."""
    if config["model_type"] == "gemma4_text":
        x = router.norm(x) * router.scale * router.scalar_root_size
        return torch.nn.functional.linear(x, router.proj.weight), 1.0
    weight = router.wg.weight if hasattr(router, "wg") else router.weight
    logits = torch.nn.functional.linear(x, weight)
    if config["model_type"] == "deepseek_v2" and (config.get("n_group") or 1) > 1:
        return logits.softmax(-1), 0.1
    if config["model_type"] in ("deepseek_v2", "olmoe", "granitemoeshared", "hunyuan_v1_moe"):
        return logits, 1.0
    if config["model_type"] == "lfm2_moe":
        return logits.sigmoid() + router.bias_of_the_choice, 0.25
    if config["model_type"] == "ernie4_5_moe":
        return logits.softmax(-1) + router.moe_statics.e_score_correction_bias, 0.15
    if config["model_type"] == "minimax_m2":
        return logits.sigmoid() + router.bias_of_the_choice, 0.25
    return logits.sigmoid() + router.e_score_correction_bias, 0.25


def smallest_gap(config, weights, tokens):
    """Between the last expert chosen and the first that is not, over tokens and layers; and the
    same of groups."""
    used = (config.get("num_experts_per_tok") or config.get("moe_k") or
            config.get("top_k_experts") or config["moe_topk"][0])
    groups = config.get("n_group") or 1
    gaps = []

    def look(router, inputs, _):
        ranks, share = ranks_of(router, config, inputs[0].reshape(-1, config["hidden_size"]))
        if groups > 1:
            parts = ranks.view(len(ranks), groups, -1)
            best = 1 if config["model_type"] == "deepseek_v2" else 2
            scores = parts.topk(best, dim=-1).values.sum(-1)
            gaps.append(gap_behind(scores, config["topk_group"]) / share)
            kept = scores.topk(config["topk_group"], dim=-1).indices
            mask = torch.full(scores.shape, float("-inf")).scatter(1, kept, 0.0)
            ranks = (parts + mask[..., None]).view(len(ranks), -1)
        gaps.append(gap_behind(ranks, used) / share)

    model = build(config)
    for name, module in model.named_modules():
        if name.endswith(("mlp.gate", "block_sparse_moe.router")) or (
                "gemma4" in config["model_type"] and name.endswith("router")) or (
                "lfm2" in config["model_type"] and name.endswith("feed_forward.gate")):
            if config["model_type"] == "minimax_m2":
                module.bias_of_the_choice = weights[
                    name[:-len("gate")] + "e_score_correction_bias"]
            if "lfm2" in config["model_type"]:
                module.bias_of_the_choice = weights[name[:-len("gate")] + "expert_bias"]
            module.register_forward_hook(look)
    logits_of(model, weights, tokens)
    if not gaps:
        sys.exit("no router was seen")
    return min(gaps)


def half_logits(config, weights, tokens):
    """With what the engine's cache keeps in half precision: latents, where there are some."""
    if "lfm2" in config["model_type"]:
        model = build(config)
        module = sys.modules[type(model).__module__]
        exact = module.causal_conv1d_fn
        module.causal_conv1d_fn = lambda x, *more, **named: exact(x.half().float(), *more, **named)
        try:
            return logits_of(model, weights, tokens, "half_kv")
        finally:
            module.causal_conv1d_fn = exact
    if "kv_lora_rank" not in config:
        return logits_of(build(config), weights, tokens, "half_kv")
    model = build(config)
    for layer in model.model.layers:
        def expand(latent, rotated, expand=layer.self_attn.expand_kv):
            return expand(latent.half().float(), rotated.half().float())
        layer.self_attn.expand_kv = expand
    return logits_of(model, weights, tokens)


def make_case(root, name, config, count, traits, published=published, smallest_gap=smallest_gap,
              half_logits=half_logits, vocabulary=None):
    for seed in range(SEEDS):
        rng = np.random.default_rng(2000 + seed)
        weights = seeded_weights(build(config), rng)
        tokens = rng.integers(0, vocabulary or config["vocab_size"], count).astype(np.int32)
        dense = config["model_type"] in ("lfm2", "minicpm3") or (
            config["model_type"] == "gemma4_text" and not config.get("enable_moe_block"))
        gap = float("inf") if dense else smallest_gap(config, weights, tokens)
        if gap < GAP:
            continue
        logits = logits_of(build(config), weights, tokens)
        half = half_logits(config, weights, tokens)
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
    kept = {k: v for k, v in WRITTEN.get(name, config).items() if v is not None or k in NULLS}
    (folder / "config.json").write_text(json.dumps(kept, indent=2) + "\n")
    write_logits(folder / "logits.bin", tokens, 0, logits, half)
    if config.get("num_nextn_predict_layers"):
        weights = weights | draft_layer(config, weights, rng)
    tensors = {k: v.bfloat16().contiguous() for k, v in published(config, weights, name).items()
               if not (k == "lm_head.weight" and config.get("tie_word_embeddings"))}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def main():
    torch.set_num_threads(1)
    root = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or CASES:
        more = {"smallest_gap": mixer_gap} if name == "phimoe" else {}
        make_case(root, name, *CASES[name], **more)


if __name__ == "__main__":
    main()
