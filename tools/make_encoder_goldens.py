#!/usr/bin/env python3
"""Makes tests/data/encoder: a tiny seeded BERT, XLM-RoBERTa and Qwen3 as sentence-transformers folders,
and vectors of them and of all-MiniLM-L6-v2, as transformers computes them in float32 on the CPU.

    python tools/make_encoder_goldens.py OUT_DIR [ALL_MINILM_FOLDER]

Needs PyPI torch, transformers, tokenizers and safetensors (made with torch 2.15.0 and transformers
5.24.0). The method is that of sentence-transformers: BertModel's last hidden states, their mean over
the tokens (or the first one), scaled to length 1. `tiny_vectors.json` holds for each text its token
ids, its mean as a vector of length 1, that mean's own length, and the first token's state;
`decoder_vectors.json` of the Qwen3, whose tokenizer puts an end token behind each text, the mean, the
first and the last state, each as a vector of length 1. The tiny models' weights are exact in F16, so that
they are the same wherever they are read.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (AutoModel, BertConfig, BertModel, Qwen3Config, Qwen3Model,
                          XLMRobertaConfig, XLMRobertaModel)

SEED = 5
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "cat", "sat", "on", "##s", "##ing", "un", "##able", "2", "##0", ".", ",", "!", "é"]
LETTERS = "abcdefghijklmnoprstuvwy"
CONFIG = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
              max_position_embeddings=40, type_vocab_size=2, hidden_act="gelu",
              layer_norm_eps=1e-12, position_embedding_type="absolute")
TEXTS = [
    "The cat sat on the mat.",
    "a",
    "UNABLE, unable! Sitting cats",
    "Résumé 2020 \u4e2d\u6587 zzz",
    "the cat " * 18,
    "[CLS] written out [SEP]",
]
ALL_MINILM_TEXTS = [
    "This is an example sentence.",
    "Each sentence is converted",
    "The quick brown fox jumps over the lazy dog; 3.14159 != 2.71828",
    "Der Bär läuft über die Straße. Наука и жизнь. 東京は日本の首都です。",
    "short",
    " ".join(f"word{i} and some more text to make it long" for i in range(40)),
]
# Position 0 of a text is row 2, behind those of padding.
XLMR = CONFIG | dict(max_position_embeddings=42, type_vocab_size=1, layer_norm_eps=1e-5,
                     bos_token_id=0, pad_token_id=1, eos_token_id=2)
XLMR_TEXTS = ["The cat sat.", "a", "caf\u00e9 \u4e2d x", "cat cat " * 18]
DECODER = dict(hidden_size=32, num_hidden_layers=2, intermediate_size=48, num_attention_heads=2,
               num_key_value_heads=1, head_dim=16, max_position_embeddings=512,
               tie_word_embeddings=True)
DECODER_END = "<|endoftext|>"
DECODER_TEXTS = ["The other one", "a", "\u00e9t\u00e9 \u4e2d\u6587", "the thing there. " * 30]
DECODER_TOKENS_MAX = 400
MODULES = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]


def vocabulary():
    tokens = SPECIAL + WORDS + list(LETTERS) + ["##" + letter for letter in LETTERS]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}


def tokenizer():
    made = Tokenizer(models.WordPiece(vocabulary(), unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(SPECIAL)
    return made


def tiny_model():
    return seeded(BertModel, BertConfig(vocab_size=len(vocabulary()), **CONFIG))


def seeded(model_class, config):
    model = model_class(config, add_pooling_layer=False).eval()
    seed_weights(model)
    return model, config


def xlmr_tokenizer():
    """Unigram, whose pieces' scores decide between "cat" and its letters."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -3.0),
              ("\u2581cat", -4.0), ("\u2581The", -5.0), ("at", -5.5), (".", -4.5), ("\u00e9", -7.0)]
    pieces += [(letter, -8.0) for letter in "aceftsxT"]
    made = Tokenizer(models.Unigram(pieces, unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)])
    return made


def seed_weights(model):
    rng = np.random.default_rng(SEED)
    with torch.no_grad():
        for name, tensor in sorted(model.named_parameters()):
            values = rng.normal(0, 0.25, tensor.shape)
            if name.endswith(("LayerNorm.weight", "norm.weight")):
                values += 1
            tensor.copy_(torch.from_numpy(values.astype(np.float16).astype(np.float32)))


def decoder_tokenizer():
    """Bytes and two merges, with the end token that Qwen3-Embedding's post-processor adds."""
    vocab = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocab |= {"th": 256, "the": 257}
    made = Tokenizer(models.BPE(vocab, [("t", "h"), ("th", "e")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([DECODER_END])
    made.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"$A {DECODER_END}", pair=f"$A {DECODER_END} $B:1",
                                      special_tokens=[(DECODER_END, 258)])])
    return made


def tiny_decoder(made):
    config = Qwen3Config(vocab_size=made.get_vocab_size(), **DECODER)
    model = Qwen3Model(config).eval()
    seed_weights(model)
    return model, config


def write_decoder_folder(folder, model, config, made):
    """As Qwen3-Embedding is published: the tensors' names without the "model." of a whole one."""
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    text = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_act": "silu",
            "vocab_size": config.vocab_size, "rms_norm_eps": config.rms_norm_eps,
            "rope_theta": 10_000.0, "eos_token_id": 258} | DECODER
    (folder / "config.json").write_text(json.dumps(text, indent=1) + "\n")
    weights = {name: t.detach().half().contiguous() for name, t in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    made.save(str(folder / "tokenizer.json"))
    write_modules(folder)
    pooling = {"word_embedding_dimension": DECODER["hidden_size"],
               "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False,
               "pooling_mode_lasttoken": True, "include_prompt": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling, indent=1) + "\n")
    limits = {"max_seq_length": DECODER_TOKENS_MAX, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(limits, indent=1) + "\n")


def pooled(model, ids):
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    poolings = {"mean": hidden.mean(dim=0), "cls": hidden[0], "last": hidden[-1]}
    return {name: numbers(v / v.norm()) for name, v in poolings.items()}


def decoder_vectors(model, made):
    out = []
    for text in DECODER_TEXTS:
        ids = made.encode(text).ids
        out.append({"text": text, "ids": ids} | pooled(model, ids))
    return out


def write_modules(folder):
    modules = [{"idx": i, "name": str(i), "path": path,
                "type": f"sentence_transformers.models.{kind}"}
               for i, (path, kind) in enumerate(MODULES)]
    (folder / "modules.json").write_text(json.dumps(modules, indent=1) + "\n")


def write_folder(folder, model, config, made):
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    text = config.to_dict() | {"architectures": [type(model).__name__],
                               "model_type": config.model_type}
    text = {k: v for k, v in text.items() if k != "transformers_version"}
    (folder / "config.json").write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")
    weights = {name: t.detach().half().contiguous() for name, t in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    made.save(str(folder / "tokenizer.json"))
    write_modules(folder)
    pooling = {"word_embedding_dimension": CONFIG["hidden_size"], "pooling_mode_mean_tokens": True,
               "pooling_mode_cls_token": False, "pooling_mode_max_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling, indent=1) + "\n")


def numbers(values):
    return [float(f"{value:.8g}") for value in values.tolist()]


def vectors(model, made, texts, with_cls):
    out = []
    for text in texts:
        ids = made.encode(text).ids
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([ids]),
                           attention_mask=torch.ones(1, len(ids))).last_hidden_state[0]
        mean = hidden.mean(dim=0)
        length = mean.norm()
        case = {"text": text, "ids": ids, "length": float(length),
                "vector": numbers(mean / length)}
        if with_cls:
            case["cls"] = numbers(hidden[0])
        out.append(case)
    return out


def write_cases(path, cases):
    path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def main(out, all_minilm=None):
    out = pathlib.Path(out)
    torch.set_num_threads(1)
    model, config = tiny_model()
    made = tokenizer()
    write_folder(out / "tiny", model, config, made)
    write_cases(out / "tiny_vectors.json", vectors(model, made, TEXTS, True))
    made = xlmr_tokenizer()
    model, config = seeded(XLMRobertaModel,
                           XLMRobertaConfig(vocab_size=made.get_vocab_size(), **XLMR))
    write_folder(out / "xlmr", model, config, made)
    write_cases(out / "xlmr_vectors.json", vectors(model, made, XLMR_TEXTS, False))
    made = decoder_tokenizer()
    model, config = tiny_decoder(made)
    write_decoder_folder(out / "decoder", model, config, made)
    write_cases(out / "decoder_vectors.json", decoder_vectors(model, made))
    if all_minilm is None:
        return
    folder = pathlib.Path(all_minilm)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.no_truncation()
    made.no_padding()
    write_cases(out / "all_minilm_vectors.json", vectors(model, made, ALL_MINILM_TEXTS, False))


if __name__ == "__main__":
    main(*sys.argv[1:])
