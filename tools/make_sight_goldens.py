#!/usr/bin/env python3
"""Makes the models that see of tests/data/hf, as make_routed_goldens.py makes others: tiny seeded
Hugging Face folders with all their tensors, and the logits of text.

    python tools/make_sight_goldens.py OUT_DIR [CASE ...]

The eyes are there and nobody looks through them: what is compared is the language model.
"""
import pathlib
import sys

import torch

from make_expert_goldens import change, zero
from make_hf_goldens import BASE, build, logits_of
from make_routed_goldens import WRITTEN, gap_behind, make_case, ones

TEXT = {key: value for key, value in BASE.items() if key != "torch_dtype"} | dict(
    rms_norm_eps=1e-6, hidden_size=32, intermediate_size=40, num_attention_heads=2,
    num_key_value_heads=1, vocab_size=75)
EYES = dict(depth=1, hidden_size=16, intermediate_size=24, num_heads=2, out_hidden_size=32,
            patch_size=4, spatial_merge_size=2, temporal_patch_size=2)
TOKENS = dict(image_token_id=71, video_token_id=72, vision_start_token_id=73, vision_end_token_id=74)

# The published form: the numbers of the language model at the top.
QWEN25 = TEXT | TOKENS | dict(
    architectures=["Qwen2_5_VLForConditionalGeneration"], model_type="qwen2_5_vl",
    rope_scaling=dict(type="mrope", mrope_section=[2, 3, 3]), sliding_window=64,
    use_sliding_window=False, max_window_layers=1, rope_theta=10_000.0,
    vision_config=EYES | dict(window_size=16, fullatt_block_indexes=[0], tokens_per_second=2))
EYES3 = EYES | dict(deepstack_visual_indexes=[0], num_position_embeddings=16, in_channels=3)
TEXT3 = TEXT | dict(
    head_dim=32, attention_bias=False, rope_theta=20_000.0,
    rope_scaling=dict(mrope_interleaved=True, mrope_section=[6, 5, 5], rope_type="default"))
QWEN3 = TOKENS | dict(
    architectures=["Qwen3VLForConditionalGeneration"], model_type="qwen3_vl",
    tie_word_embeddings=True, text_config=TEXT3 | dict(
        model_type="qwen3_vl_text", tie_word_embeddings=True),
    vision_config=EYES3 | dict(model_type="qwen3_vl"))
QWEN3_MOE = TOKENS | dict(
    architectures=["Qwen3VLMoeForConditionalGeneration"], model_type="qwen3_vl_moe",
    tie_word_embeddings=False, text_config=TEXT3 | dict(
        model_type="qwen3_vl_moe_text", num_experts=6, num_experts_per_tok=2,
        moe_intermediate_size=24, decoder_sparse_step=1, mlp_only_layers=[], norm_topk_prob=True),
    vision_config=EYES3 | dict(model_type="qwen3_vl_moe"))

# Of this one transformers is told the language model alone: it does not compute text with the whole.
LLAMA4_TEXT = TEXT | dict(
    architectures=["Llama4ForCausalLM"], model_type="llama4_text", rms_norm_eps=1e-5, num_hidden_layers=4, intermediate_size=24,
    intermediate_size_mlp=40, head_dim=16, num_local_experts=4, num_experts_per_tok=1,
    interleave_moe_layer_step=2, use_qk_norm=True, attention_chunk_size=20, floor_scale=8,
    attn_scale=0.4, attn_temperature_tuning=True, attention_bias=False)
LLAMA4 = dict(
    architectures=["Llama4ForConditionalGeneration"], model_type="llama4", image_token_index=74,
    boi_token_index=72, eoi_token_index=73, tie_word_embeddings=False, text_config=LLAMA4_TEXT,
    vision_config=dict(
        model_type="llama4_vision_model", hidden_size=16, intermediate_size=64, image_size=16,
        num_attention_heads=2, num_hidden_layers=1, patch_size=8, pixel_shuffle_ratio=0.5,
        projector_input_dim=64, projector_output_dim=16, vision_output_dim=16))


def text(config):
    return config.get("text_config", config)


def change_text(**fields):
    return lambda config, weights: (
        build(config | dict(text_config=config["text_config"] | fields)), weights)


# name: (config, tokens, traits)
CASES = {
    "qwen2_5_vl": (QWEN25, 64, {
        "biases": zero("q_proj.bias"), "rope base": change(rope_theta=20_000.0)}),
    "qwen3_vl": (QWEN3, 64, {
        "q norm": ones("q_norm"), "k norm": ones("k_norm"),
        "rope base": change_text(rope_theta=1_000.0)}),
    "llama4": (LLAMA4_TEXT, 64, {
        "chunk": change(attention_chunk_size=1_000),
        "chunk by one": change(attention_chunk_size=21),
        "growing queries": change(attn_scale=0.0), "their pace": change(floor_scale=9),
        "norms of q and k": change(use_qk_norm=False),
        "layer without rope": change(no_rope_layers=[1, 1, 1, 1]),
        "experts": zero("experts.down_proj"), "shared expert": zero("shared_expert.down_proj"),
        "number of experts": change(num_experts_per_tok=2)}),
    "qwen3_vl_moe": (QWEN3_MOE, 64, {
        "q norm": ones("q_norm"), "number of experts": change_text(num_experts_per_tok=1),
        "rope base": change_text(rope_theta=1_000.0)}),
}


def published(config, weights, _):
    """The tensors under the names, and with the experts the way round, that makers' files have."""
    out = {}
    if config["model_type"] == "llama4_text":
        out = {f"language_model.{name}": value for name, value in weights.items()}
        return out | {"vision_model.patch_embedding.linear.weight": torch.zeros(16, 192),
                      "multi_modal_projector.linear_1.weight": torch.zeros(32, 16)}
    for name, value in weights.items():
        if config["model_type"] == "qwen2_5_vl":
            name = name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")
        if config["model_type"] == "qwen3_vl_moe" and value.ndim == 3 and ".experts." in name:
            value = value.transpose(1, 2)
        out[name] = value
    return out


def smallest_gap(config, weights, tokens):
    gaps = []

    def look(router, inputs, _):
        x = inputs[0].reshape(-1, text(config)["hidden_size"])
        gaps.append(gap_behind(torch.nn.functional.linear(x, router.weight),
                               text(config)["num_experts_per_tok"]))

    if "num_experts_per_tok" not in text(config):
        return float("inf")
    model = build(config)
    for name, module in model.named_modules():
        if name.endswith(("mlp.gate", "feed_forward.router")):
            module.register_forward_hook(look)
    logits_of(model, weights, tokens)
    return min(gaps)


def main():
    torch.set_num_threads(1)
    root = pathlib.Path(sys.argv[1])
    WRITTEN["llama4"] = LLAMA4
    for name in sys.argv[2:] or CASES:
        config, count, traits = CASES[name]
        make_case(root, name, config, count, traits, published=published,
                  smallest_gap=smallest_gap, vocabulary=text(config)["vocab_size"])


if __name__ == "__main__":
    main()
