#!/usr/bin/env python3
"""Writes SmolLM2-135M padded to a width of 768, in float32 and quantised to each type: its own width
(576) is no multiple of 256, so that no K-quant of the whole model exists (docs/quality.md).

    python tools/make_padded_model.py SMOLLM2.gguf OUT_DIR [TYPE ...]

Needs PyPI gguf (0.19.0) and llama-cpp-python (0.3.36), whose quantise call does the quantising. The
padded model is the same function: 12 heads and 4 key heads instead of 9 and 3, the new ones zero, as
are the new columns and rows; RMS norms now divide by 768 values of which 192 are zero, so that their
weights are multiplied by sqrt(576 / 768) and epsilon by 576 / 768. Shown before anything is
quantised: the float32 logits of both differ by at most 1e-5 of the largest.
"""
import ctypes
import pathlib
import sys

import llama_cpp
import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize

from reference_model import ReferenceModel

WIDTH, PADDED = 576, 768
SHRINK = WIDTH / PADDED
HEAD = 64
TOLERANCE = 1e-5

# Every matrix in this type but the embedding, which is the output too: that one is Q8_0, as in the
# model's own file, so that the small types are not drowned by it.
TYPES = {
    "Q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, "Q4_1": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_1,
    "Q5_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_0, "Q5_1": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_1,
    "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0, "Q2_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q2_K,
    "Q3_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q3_K_M, "Q4_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "Q5_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M, "Q6_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
    "IQ4_NL": llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_NL, "IQ4_XS": llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_XS,
    "F16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16, "BF16": llama_cpp.LLAMA_FTYPE_MOSTLY_BF16,
}
GGML_TYPE_Q8_0 = 8

# New values of what the metadata says about widths and heads.
METADATA = {
    "llama.embedding_length": PADDED, "llama.attention.head_count": 12,
    "llama.attention.head_count_kv": 4,
}
EPSILON = "llama.attention.layer_norm_rms_epsilon"


def padded(name, weights):
    """[rows, columns] or [values] with zeros up to the new shape."""
    if weights.ndim == 1:
        return np.pad(weights * np.float32(np.sqrt(SHRINK)), (0, PADDED - WIDTH))
    rows, columns = weights.shape
    new_rows = {"attn_q": PADDED, "attn_k": 4 * HEAD, "attn_v": 4 * HEAD, "attn_output": PADDED,
                "ffn_down": PADDED}.get(name.split(".")[-2], rows)
    new_columns = PADDED if columns == WIDTH else columns
    return np.pad(weights, ((0, new_rows - rows), (0, new_columns - columns)))


def write_padded(source, path):
    reader = GGUFReader(source)
    writer = GGUFWriter(path, "llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        value = METADATA.get(field.name, field.contents())
        if field.name == EPSILON:
            value *= SHRINK
        writer.add_key_value(field.name, value, kind,
                             field.types[-1] if kind == GGUFValueType.ARRAY else None)
    if "llama.attention.key_length" not in reader.fields:
        writer.add_key_length(HEAD)
        writer.add_value_length(HEAD)
    for tensor in reader.tensors:
        weights = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        weights = weights.reshape(tuple(reversed([int(d) for d in tensor.shape])))
        writer.add_tensor(tensor.name, padded(tensor.name, weights))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_equal(source, path):
    ids = np.random.default_rng(1).integers(0, 49152, 64)
    expected = ReferenceModel(source).logits(ids)
    error = np.abs(ReferenceModel(path).logits(ids) - expected).max() / np.abs(expected).max()
    print(f"padded and original differ by {error:.1e} of the largest |logit|")
    if error > TOLERANCE:
        sys.exit(f"more than {TOLERANCE:.0e}: the padding is wrong")


def quantise(source, path, name):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = TYPES[name]
    params.pure = True
    if name not in ("F16", "BF16"):
        params.token_embedding_type = GGML_TYPE_Q8_0
    status = llama_cpp.llama_model_quantize(str(source).encode(), str(path).encode(),
                                            ctypes.byref(params))
    if status != 0:
        sys.exit(f"llama.cpp could not quantise to {name}")


def main():
    source, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "smollm2-padded.F32.gguf"
    write_padded(source, base)
    check_equal(source, base)
    for name in sys.argv[3:] or TYPES:
        path = folder / f"smollm2-padded.{name}.gguf"
        quantise(base, path, name)
        kinds = sorted({t.tensor_type.name for t in GGUFReader(path).tensors})
        print(f"{path.name}: {path.stat().st_size} bytes, {', '.join(kinds)}", flush=True)


if __name__ == "__main__":
    main()
