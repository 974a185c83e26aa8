#!/usr/bin/env python3
"""Makes tests/data/hf: tiny seeded models of the dense architectures as Hugging Face folders, and
their logits as transformers computes them in float32 on the CPU.

    python tools/make_hf_goldens.py OUT_DIR [CASE ...]

Needs PyPI torch, transformers and safetensors (made with torch 2.15.0, transformers 5.24.0); no
model is fetched. For each case a folder NAME with config.json, in the form that makers publish;
model.safetensors, of values that are exact in BF16; and logits.bin:

    u32 tokens, u32 vocabulary, u32 context (0: any), u32 rows; the tokens as i32; the positions of
    the rows as i32; the logits [rows][vocabulary] as f32, and the same with keys and values rounded
    to half precision, as the engine's cache keeps them

The second logits lie an order of magnitude nearer to the engine's, so that a smaller mistake shows.
Before anything is written each trait of a case must show: the model without it must miss the logits
by TRAIT times the tolerance or more.
"""
import json
import pathlib
import struct
import sys
import tempfile
import zlib

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.modeling_utils import AttentionInterface

NULLS = ("sliding_window", "q_lora_rank")  # a null says something else than nothing
TOLERANCE = 1e-3  # of the largest |logit|: numerics.md
TRAIT = 20
ROWS = 24

BASE = dict(hidden_size=48, num_hidden_layers=2, intermediate_size=72, num_attention_heads=3,
            num_key_value_heads=1, vocab_size=70, max_position_embeddings=1024, hidden_act="silu",
            rope_theta=10_000.0, bos_token_id=1, eos_token_id=2, pad_token_id=0,
            tie_word_embeddings=False, torch_dtype="bfloat16")
RMS = BASE | dict(rms_norm_eps=1e-5)
LAYER = BASE | dict(layer_norm_eps=1e-5)
WIDE = dict(hidden_size=64, num_attention_heads=4, num_key_value_heads=2)
YARN = dict(type="yarn", factor=4.0, original_max_position_embeddings=64)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
LINEAR = dict(type="linear", factor=4.0)
HUNYUAN = dict(type="dynamic", alpha=1000.0, factor=1.0, beta_fast=32, beta_slow=1, mscale=1.0,
               mscale_all_dim=1.0)
# 12 pairs of the 16 that a head of 32 has: Phi-4-mini rotates three quarters.
LONGROPE = dict(type="longrope", short_factor=[1.0 + 0.05 * i for i in range(12)],
                long_factor=[1.0 + 0.6 * i for i in range(12)])


def case(model_class, model_type, settings, tokens, traits, **more):
    config = dict(architectures=[model_class], model_type=model_type) | settings
    return dict(config=config, tokens=tokens, traits=traits, **more)


def zero(ending):
    """A model without the tensors whose names end so: zeros."""
    return dict(zero=ending)


def ones(ending):
    return dict(ones=ending)


def renamed(**words):
    """Names of tensors with parts replaced."""
    def rename(weights):
        out = {}
        for name, value in weights.items():
            for part, other in words.items():
                name = name.replace(part, other)
            out[name] = value
        return out
    return rename


EXAONE = renamed(**{
    "model.embed_tokens": "transformer.wte", "model.norm": "transformer.ln_f",
    "model.layers": "transformer.h", "self_attn.o_proj": "attn.attention.out_proj",
    "self_attn": "attn.attention", "input_layernorm": "ln_1", "post_attention_layernorm": "ln_2",
    "gate_proj": "c_fc_0", "up_proj": "c_fc_1", "mlp.down_proj": "mlp.c_proj"})


def internlm2(weights):
    """llama's tensors as InternLM 2 has them: each KV head's queries, its key and its value."""
    out = {}
    for name, value in weights.items():
        if ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            heads = [weights[name.replace("q_proj", part)].unflatten(0, (2, -1, 16))
                     for part in ("q_proj", "k_proj", "v_proj")]
            value = torch.cat(heads, dim=1).flatten(0, 2)
        out[name] = value
    return renamed(**{
        "embed_tokens": "tok_embeddings", "lm_head": "output", "self_attn.q_proj": "attention.wqkv",
        "self_attn.o_proj": "attention.wo", "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "feed_forward.w1",
        "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2"})(out)


def words_of(settings, take, **more):
    return {key: settings[key] for key in take} | more


# transformers has no internlm2 and no minicpm: they are its llama, and its granite with the rotation
# stretched. The folders have the makers' words and tensors.
SIXTEEN = dict(type="longrope", original_max_position_embeddings=64,
               short_factor=[1.0 + 0.05 * i for i in range(8)],
               long_factor=[1.0 + 0.6 * i for i in range(8)])
PLAIN_KEYS = ("hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads",
              "num_key_value_heads", "vocab_size", "max_position_embeddings", "hidden_act",
              "rope_theta", "tie_word_embeddings", "rms_norm_eps", "torch_dtype")
LLAMA_OF_INTERNLM2 = RMS | WIDE | dict(attention_bias=True, rope_theta=50_000.0)
GRANITE_OF_MINICPM = RMS | WIDE | dict(
    embedding_multiplier=3.0, residual_multiplier=1.4 / 2 ** 0.5, attention_multiplier=0.25,
    logits_scaling=4.0, rope_scaling=SIXTEEN, max_position_embeddings=512)

# What `traits` says is a change of the configuration, or of the weights, that takes the trait away.
# 300 tokens are more than one attention range of 256; 70 words and 72 hidden values are no multiples
# of a vector. Windows, original contexts and caps are small, so that they bite.
CASES = {
    "llama_bias": case("LlamaForCausalLM", "llama", RMS | dict(
        attention_bias=True, mlp_bias=True, head_dim=32), 64, {
            "attention biases": zero("q_proj.bias"), "output bias": zero("o_proj.bias"),
            "feed-forward biases": zero("gate_proj.bias"), "down bias": zero("down_proj.bias")}),
    "llama_llama3": case("LlamaForCausalLM", "llama", RMS | WIDE | dict(
        rope_scaling=LLAMA3, tie_word_embeddings=True, rope_theta=500.0), 300, {
            "rope scaling": dict(rope_scaling=None)}),
    "mistral_window": case("MistralForCausalLM", "mistral", RMS | dict(
        sliding_window=20, head_dim=32), 96, {
            "window": dict(sliding_window=10_000), "window by one": dict(sliding_window=21)}),
    "qwen2": case("Qwen2ForCausalLM", "qwen2", RMS | WIDE | dict(
        rms_norm_eps=1e-6, sliding_window=32, use_sliding_window=False, max_window_layers=1), 64, {
            "biases": zero("_proj.bias"), "rope base": dict(rope_theta=20_000.0)}),
    "qwen2_yarn": case("Qwen2ForCausalLM", "qwen2", RMS | dict(
        rope_scaling=YARN, tie_word_embeddings=True, rope_theta=1_000.0,
        max_position_embeddings=256), 250, {
            "yarn": dict(rope_scaling=None), "yarn's factor": dict(
                rope_scaling=YARN | dict(factor=4.4)),
            "yarn's magnitude": dict(rope_scaling=YARN | dict(attention_factor=1.0)),
            "yarn's ramp": dict(rope_scaling=YARN | dict(beta_fast=2.0))}),
    "qwen3": case("Qwen3ForCausalLM", "qwen3", RMS | WIDE | dict(
        head_dim=32, rms_norm_eps=1e-6, tie_word_embeddings=True, attention_bias=False), 64, {
            "q norm": ones("q_norm.weight"), "k norm": ones("k_norm.weight")}),
    "gemma2": case("Gemma2ForCausalLM", "gemma2", RMS | dict(
        num_hidden_layers=3, hidden_size=32, intermediate_size=56, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, rms_norm_eps=1e-6, tie_word_embeddings=True,
        hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
        query_pre_attn_scalar=32, sliding_window=20, attn_logit_softcapping=3.0,
        final_logit_softcapping=6.0), 96, {
            "score cap": dict(attn_logit_softcapping=30.0),
            "logit cap": dict(final_logit_softcapping=7.0), "window": dict(sliding_window=10_000),
            "window by one": dict(sliding_window=21),
            "place of the windows": dict(layer_types=[
                "full_attention", "sliding_attention", "full_attention"]),
            "post norms": ones("post_feedforward_layernorm.weight")}),
    "gemma3": case("Gemma3ForCausalLM", "gemma3_text", RMS | dict(
        num_hidden_layers=6, hidden_size=32, intermediate_size=40, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-6, tie_word_embeddings=True,
        hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=16, sliding_window=20,
        sliding_window_pattern=6, rope_theta=50_000.0, rope_local_base_freq=1_000.0), 96, {
            "window": dict(sliding_window=10_000),
            "local base": dict(rope_local_base_freq=50_000.0)}),
    "phi3_window": case("Phi3ForCausalLM", "phi3", RMS | WIDE | dict(sliding_window=20), 96, {
        "window": dict(sliding_window=10_000), "window by one": dict(sliding_window=21)}),
    "phi3_longrope": case("Phi3ForCausalLM", "phi3", RMS | dict(
        hidden_size=64, num_attention_heads=2, num_key_value_heads=1, partial_rotary_factor=0.75,
        rope_scaling=LONGROPE, original_max_position_embeddings=64, max_position_embeddings=512,
        sliding_window=None, tie_word_embeddings=True), 280, {
            "long factors": dict(rope_scaling=LONGROPE | dict(
                long_factor=LONGROPE["short_factor"])),
            "partial rotation": dict(partial_rotary_factor=1.0, rope_scaling=LONGROPE | dict(
                short_factor=LONGROPE["short_factor"] + [1.6] * 4,
                long_factor=LONGROPE["long_factor"] + [8.0] * 4)),
            "magnitude": dict(rope_scaling=LONGROPE | dict(attention_factor=1.0))},
        short_tokens=60),
    "granite": case("GraniteForCausalLM", "granite", RMS | dict(
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.35,
        logits_scaling=2.5, attention_bias=False, mlp_bias=False), 64, {
            "embedding scale": dict(embedding_multiplier=1.0),
            "residual scale": dict(residual_multiplier=1.0),
            "attention scale": dict(attention_multiplier=0.25),
            "logit scale": dict(logits_scaling=1.0)}),
    "command_r": case("CohereForCausalLM", "cohere", LAYER | WIDE | dict(
        logit_scale=0.0625, use_qk_norm=False, attention_bias=False, tie_word_embeddings=True), 64, {
            "logit scale": dict(logit_scale=0.07), "rope base": dict(rope_theta=20_000.0)}),
    "command_r_qk_norm": case("CohereForCausalLM", "cohere", LAYER | WIDE | dict(
        logit_scale=0.25, use_qk_norm=True, attention_bias=False, tie_word_embeddings=True), 64, {
            "q norm": ones("q_norm.weight"), "k norm": ones("k_norm.weight")}),
    "cohere2": case("Cohere2ForCausalLM", "cohere2", LAYER | dict(
        num_hidden_layers=4, hidden_size=32, intermediate_size=56, num_attention_heads=2, head_dim=16,
        logit_scale=0.25, sliding_window=20, sliding_window_pattern=4, attention_bias=False,
        tie_word_embeddings=True), 96, {
            "window": dict(sliding_window=10_000), "window by one": dict(sliding_window=21),
            "place of the full layer": dict(layer_types=["full_attention"] + ["sliding_attention"] * 3)}),
    "olmo2": case("Olmo2ForCausalLM", "olmo2", RMS | WIDE | dict(
        attention_bias=False, rms_norm_eps=1e-6), 64, {
            "q norm": ones("q_norm.weight"), "k norm": ones("k_norm.weight"),
            "post norm": ones("post_attention_layernorm.weight")}),
    "olmo3": case("Olmo3ForCausalLM", "olmo3", RMS | dict(
        num_hidden_layers=4, hidden_size=32, intermediate_size=56, num_attention_heads=2,
        attention_bias=False, rms_norm_eps=1e-6, sliding_window=20, rope_theta=500_000.0,
        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64,
                          beta_fast=32.0, beta_slow=1.0, attention_factor=1.2),
        layer_types=["sliding_attention"] * 3 + ["full_attention"]), 200, {
            "window": dict(sliding_window=10_000),
            "place of the full layer": dict(
                layer_types=["full_attention"] + ["sliding_attention"] * 3),
            "yarn": dict(rope_scaling=None)}),
    "smollm3": case("SmolLM3ForCausalLM", "smollm3", RMS | dict(
        num_hidden_layers=4, hidden_size=32, intermediate_size=56, num_attention_heads=2,
        no_rope_layers=[1, 1, 1, 0], no_rope_layer_interval=4, use_sliding_window=False,
        sliding_window=None, tie_word_embeddings=True, rms_norm_eps=1e-6), 64, {
            "layer without rope": dict(no_rope_layers=[1, 1, 1, 1]),
            "place of it": dict(no_rope_layers=[0, 1, 1, 1])}),
    "stablelm": case("StableLmForCausalLM", "stablelm", LAYER | dict(
        hidden_size=64, num_attention_heads=2, num_key_value_heads=2, partial_rotary_factor=0.25,
        use_qkv_bias=True, qk_layernorm=False, use_parallel_residual=False), 64, {
            "biases": zero("_proj.bias"), "norm biases": zero("layernorm.bias"),
            "partial rotation": dict(partial_rotary_factor=1.0)}),
    "stablelm_parallel": case("StableLmForCausalLM", "stablelm", LAYER | WIDE | dict(
        partial_rotary_factor=0.5, use_qkv_bias=False, qk_layernorm=True,
        use_parallel_residual=True), 64, {
            "q norms": ones("q_layernorm.norms.1.weight"),
            "k norms": ones("k_layernorm.norms.1.weight"),
            "norm biases": zero("layernorm.bias")}),
    "starcoder2": case("Starcoder2ForCausalLM", "starcoder2", BASE | dict(
        norm_epsilon=1e-5, use_bias=True, hidden_act="gelu_pytorch_tanh", sliding_window=20,
        tie_word_embeddings=True), 96, {
            "window": dict(sliding_window=None), "attention biases": zero("q_proj.bias"),
            "feed-forward bias": zero("c_fc.bias"), "down bias": zero("c_proj.bias"),
            "output bias": zero("o_proj.bias"), "exact GELU": dict(hidden_act="relu"),
            "norm biases": zero("norm.bias")}),
    "glm4": case("Glm4ForCausalLM", "glm4", RMS | dict(
        hidden_size=64, num_attention_heads=2, head_dim=32, partial_rotary_factor=0.5,
        attention_bias=True), 64, {
            "biases": zero("_proj.bias"), "partial rotation": dict(partial_rotary_factor=1.0),
            "post norms": ones("post_mlp_layernorm.weight")}),
    "gemma": case("GemmaForCausalLM", "gemma", RMS | dict(
        hidden_size=32, intermediate_size=56, num_attention_heads=2, head_dim=32,
        rms_norm_eps=1e-6, tie_word_embeddings=True, hidden_act="gelu_pytorch_tanh"), 64, {
            "tanh GELU": dict(hidden_act="silu"), "norms": ones("input_layernorm.weight"),
            "rope base": dict(rope_theta=20_000.0)}),
    "seed_oss": case("SeedOssForCausalLM", "seed_oss", RMS | dict(
        hidden_size=32, intermediate_size=56, num_attention_heads=2, head_dim=32,
        attention_bias=True, attention_out_bias=False, mlp_bias=False), 64, {
            "biases": zero("_proj.bias"), "norms": ones("post_attention_layernorm.weight")}),
    "arcee": case("ArceeForCausalLM", "arcee", RMS | dict(
        hidden_size=32, intermediate_size=56, num_attention_heads=2, head_dim=32,
        hidden_act="relu2", rope_scaling=YARN, rope_theta=1_000.0, max_position_embeddings=256), 200, {
            "square": dict(hidden_act="relu"), "yarn": dict(rope_scaling=None)}),
    "nemotron": case("NemotronForCausalLM", "nemotron", BASE | dict(
        hidden_size=32, intermediate_size=56, num_attention_heads=2, head_dim=32,
        hidden_act="relu2", norm_eps=1e-5, partial_rotary_factor=0.5), 64, {
            "square": dict(hidden_act="relu"), "norm biases": zero("layernorm.bias"),
            "norms": ones("input_layernorm.weight"),
            "partial rotation": dict(partial_rotary_factor=1.0)}),
    "exaone4": case("Exaone4ForCausalLM", "exaone4", RMS | dict(
        num_hidden_layers=4, hidden_size=32, intermediate_size=40, num_attention_heads=2,
        sliding_window=20, sliding_window_pattern="LLLG", layer_types=[
            "sliding_attention"] * 3 + ["full_attention"]), 96, {
            "window": dict(sliding_window=10_000), "window by one": dict(sliding_window=21),
            "place of the full layer": dict(
                layer_types=["full_attention"] + ["sliding_attention"] * 3),
            "layer without rope": dict(sliding_window=None, layer_types=["full_attention"] * 4),
            "q norm": ones("q_norm.weight"), "k norm": ones("k_norm.weight"),
            "post norm": ones("post_attention_layernorm.weight")}),
    "exaone4_full": case("Exaone4ForCausalLM", "exaone4", RMS | dict(
        hidden_size=32, intermediate_size=40, num_attention_heads=2, sliding_window=None,
        rope_scaling=LLAMA3, rope_theta=500.0, tie_word_embeddings=True,
        layer_types=["full_attention"] * 2), 300, {"rope scaling": dict(rope_scaling=None)}),
    "hunyuan_dense": case("HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", RMS | dict(
        hidden_size=32, intermediate_size=56, num_attention_heads=2, head_dim=32,
        attention_bias=False, tie_word_embeddings=True, rope_scaling=HUNYUAN), 96, {
            "alpha": dict(rope_scaling=HUNYUAN | dict(alpha=1.0)),
            "q norm": ones("query_layernorm.weight"), "k norm": ones("key_layernorm.weight")}),
    "ernie4_5": case("Ernie4_5ForCausalLM", "ernie4_5", RMS | dict(
        hidden_size=32, intermediate_size=56, num_attention_heads=2, head_dim=32, use_bias=True,
        tie_word_embeddings=True), 64, {
            "biases": zero("_proj.bias"), "rope base": dict(rope_theta=20_000.0)}),
    "granite_hybrid": case("GraniteMoeHybridForCausalLM", "granitemoehybrid", RMS | dict(
        hidden_size=32, num_attention_heads=2, shared_intermediate_size=56,
        layer_types=["attention"] * 2, position_embedding_type="nope", num_local_experts=0,
        num_experts_per_tok=0, mamba_n_heads=4, mamba_d_head=16, embedding_multiplier=3.0, residual_multiplier=0.4,
        attention_multiplier=0.35, logits_scaling=2.5, tie_word_embeddings=True), 64, {
            "no positions": dict(position_embedding_type="rope"),
            "embedding scale": dict(embedding_multiplier=1.0),
            "logit scale": dict(logits_scaling=1.0)}),
    "apertus": case("ApertusForCausalLM", "apertus", RMS | dict(
        hidden_size=32, intermediate_size=56, num_attention_heads=2, hidden_act="xielu",
        post_norm=False, qk_norm=True, mlp_bias=False, rope_scaling=LLAMA3, rope_theta=500.0), 300, {
            "rope scaling": dict(rope_scaling=None),
            "its factors": zero("alpha_p"), "factors below 0": zero("alpha_n"),
            "q norm": ones("q_norm.weight"), "k norm": ones("k_norm.weight")},
        published=lambda weights: weights | {
            name.replace("alpha_p", part): torch.tensor(value)
            for name in weights if name.endswith("alpha_p")
            for part, value in (("beta", 0.5), ("eps", -1e-6))}),
    "exaone": case("ExaoneForCausalLM", "exaone", {
        key: value for key, value in BASE.items()
        if key not in ("num_hidden_layers", "hidden_act")} | dict(
            num_layers=2, layer_norm_epsilon=1e-5, activation_function="silu", hidden_size=32,
            intermediate_size=40, num_attention_heads=2, head_dim=32, rope_scaling=LLAMA3,
            rope_theta=500.0), 300, {
                "rope scaling": dict(rope_scaling=None),
                "norms": ones("post_attention_layernorm.weight")}, published=EXAONE),
    "internlm2": case("LlamaForCausalLM", "llama", LLAMA_OF_INTERNLM2, 64, {
        "biases": zero("_proj.bias"), "rope base": dict(rope_theta=500.0)},
        published=internlm2, written=words_of(
            LLAMA_OF_INTERNLM2, PLAIN_KEYS, architectures=["InternLM2ForCausalLM"],
            model_type="internlm2", bias=True, rope_scaling=dict(type="dynamic", factor=2.0))),
    "internlm3": case("InternLM3ForCausalLM", "internlm3", RMS | dict(
        hidden_size=32, intermediate_size=56, num_attention_heads=2, head_dim=32, qkv_bias=False,
        bias=False, rope_scaling=dict(factor=6.0, rope_type="dynamic"), rope_theta=50_000.0), 64, {
            "rope base": dict(rope_theta=500.0), "norms": ones("input_layernorm.weight")}),
    "minicpm": case("GraniteForCausalLM", "granite", GRANITE_OF_MINICPM, 280, {
        "embedding scale": dict(embedding_multiplier=1.0),
        "residual scale": dict(residual_multiplier=1.4), "logit scale": dict(logits_scaling=1.0),
        "long factors": dict(rope_scaling=SIXTEEN | dict(long_factor=SIXTEEN["short_factor"])),
        "magnitude": dict(rope_scaling=SIXTEEN | dict(attention_factor=1.0))},
        short_tokens=60, written=words_of(
            GRANITE_OF_MINICPM, PLAIN_KEYS, architectures=["MiniCPMForCausalLM"],
            model_type="minicpm", scale_emb=3, scale_depth=1.4, dim_model_base=16,
            rope_scaling=SIXTEEN)),
    "ministral3": case("Ministral3ForCausalLM", "ministral3", RMS | dict(
        hidden_size=64, num_attention_heads=2, head_dim=32, sliding_window=None,
        tie_word_embeddings=True, rope_theta=None, max_position_embeddings=256,
        rope_parameters=dict(type="yarn", rope_type="yarn", factor=8.0, beta_fast=32.0,
                             beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0,
                             original_max_position_embeddings=32, rope_theta=1_000.0,
                             llama_4_scaling_beta=0.3)), 200, {
            "temperature": dict(rope_parameters=dict(
                type="yarn", rope_type="yarn", factor=8.0, beta_fast=32.0, beta_slow=1.0,
                mscale=1.0, mscale_all_dim=1.0, original_max_position_embeddings=32,
                rope_theta=1_000.0, llama_4_scaling_beta=0.0))}),
}


def half_kv_attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0,
                      softcap=None, **unused):
    """Attention in float32 over keys and values that went through half precision."""
    groups = query.shape[1] // key.shape[1]
    key = key.half().float().repeat_interleave(groups, dim=1)
    value = value.half().float().repeat_interleave(groups, dim=1)
    if scaling is None:
        scaling = query.shape[-1] ** -0.5
    scores = (query @ key.transpose(2, 3)) * scaling
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores + attention_mask[..., :key.shape[2]]
    return (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register("half_kv", half_kv_attention)
AttentionMaskInterface.register("half_kv", eager_mask)


def build(config, folder=None):
    """The model of a config.json as transformers reads it, in float32."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(folder or temporary)
        kept = {key: value for key, value in config.items()
                if value is not None or key in NULLS}
        (folder / "config.json").write_text(json.dumps(kept, indent=2) + "\n")
        parsed = AutoConfig.from_pretrained(folder)
    kind = AutoModelForImageTextToText if "vision_config" in config else AutoModelForCausalLM
    model = kind.from_config(parsed, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def counts_from_zero(model_type):
    """Norms whose weight is added to 1."""
    return "gemma" in model_type or model_type == "nemotron"


def seeded_weights(model, rng):
    """{name: tensor} of every parameter, large enough that attention has something to choose, and
    exact in BF16."""
    from_zero = counts_from_zero(model.config.model_type)
    out = {}
    for name, value in model.named_parameters():
        shape = tuple(value.shape)
        if name.endswith("bias"):
            values = 0.4 * rng.standard_normal(shape)
        elif "act_fn" in name:
            values = 0.5 + rng.standard_normal(shape)
        elif "norm" in name:
            center = 0.0 if from_zero else 1.0
            if "olmo" in model.config.model_type and ("q_norm" in name or "k_norm" in name):
                center = 0.6  # norms of whole rows make sharp scores
            values = center + 0.3 * rng.standard_normal(shape)
        else:
            gain = 1.0
            if "embed" in name:
                gain = 4.0
            values = gain / np.sqrt(shape[1]) * rng.standard_normal(shape)
        out[name] = torch.from_numpy(values.astype(np.float32)).bfloat16().float()
    return out


def logits_of(model, weights, tokens, attention="eager"):
    missing, unexpected = model.load_state_dict(weights, strict=False)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    fixed = {name for name in missing if name.endswith(("act_fn.beta", "act_fn.eps"))}
    if unexpected or set(missing) - tied - fixed:
        sys.exit(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    model.set_attn_implementation(attention)
    with torch.no_grad():
        return model(torch.from_numpy(tokens)[None].long(), use_cache=False).logits[0].numpy()


def without(config, weights, tokens, change):
    if "zero" in change or "ones" in change:
        ending = change.get("zero") or change["ones"]
        hit = [name for name in weights if name.endswith(ending)]
        if not hit:
            sys.exit(f"no weight ends with {ending}")
        base = 0.0 if "zero" in change or counts_from_zero(config["model_type"]) else 1.0
        weights = weights | {name: torch.full_like(weights[name], base) for name in hit}
        change = {}
    return logits_of(build(config | change), weights, tokens)


def write_logits(path, tokens, context, logits, half):
    count = len(tokens)
    rows = np.unique(np.linspace(0, count - 1, ROWS).round().astype(np.int32))
    header = struct.pack("<IIII", count, logits.shape[1], context, len(rows))
    path.write_bytes(header + tokens.tobytes() + rows.astype(np.int32).tobytes() +
                     logits[rows].tobytes() + half[rows].tobytes())


def make_case(root, seed, name, spec):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    config = spec["config"]
    model = build(config, folder)
    weights = seeded_weights(model, rng)
    for part, count in (("logits.bin", spec["tokens"]),
                        ("logits_short.bin", spec.get("short_tokens", 0))):
        if count == 0:
            continue
        tokens = rng.integers(0, config["vocab_size"], count).astype(np.int32)
        logits = logits_of(model, weights, tokens)
        half = logits_of(model, weights, tokens, "half_kv")
        largest = np.abs(logits).max()
        print(f"{name}/{part}: largest |logit| {largest:.2f}, a half-precision cache costs "
              f"{np.abs(half - logits).max() / largest:.1e} of it")
        # With two sets of RoPE factors the context chooses: that of these very tokens.
        context = count if "short_tokens" in spec else 0
        write_logits(folder / part, tokens, context, logits, half)
        if part != "logits.bin":
            continue
        for trait, change in spec["traits"].items():
            miss = np.abs(without(config, weights, tokens, change) - logits).max() / largest
            print(f"    without its {trait}: {miss:.2e}")
            if miss < TRAIT * TOLERANCE:
                sys.exit(f"{name}: {trait} does not show")
    if "written" in spec:
        (folder / "config.json").write_text(json.dumps(spec["written"], indent=2) + "\n")
    weights = spec.get("published", dict)(weights)
    save_file({key: value.bfloat16().contiguous() for key, value in weights.items()},
              folder / "model.safetensors", metadata={"format": "pt"})


def main():
    root = pathlib.Path(sys.argv[1])
    chosen = sys.argv[2:] or CASES
    for name in chosen:
        make_case(root, zlib.crc32(name.encode()), name, CASES[name])


if __name__ == "__main__":
    main()
