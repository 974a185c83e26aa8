#!/usr/bin/env python3
"""Makes tests/data/formats: what the `gguf` Python package decodes, for our decoders to equal.

    python tools/make_dequant_goldens.py OUT_DIR [NAME=MODEL.gguf ...]

Needs PyPI gguf (made with 0.19.0) and numpy. For each decodable type one TYPE.bin:

    u32 weights, u32 bytes of blocks, the blocks, the weights as f32   (little endian)

Blocks are random bits; their scales are set to cover ordinary values, zero, subnormal and the
largest halves, and every kind of MXFP4 exponent. For each NAME=MODEL one NAME_sums.txt with a
checksum of every tensor: the sum of weight i's bits times 1 + i mod 65521, modulo 2^64.
"""
import pathlib
import struct
import sys

import numpy as np
from gguf import GGUFReader
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

# Where the half-precision scales lie in a block.
SCALES = {
    T.F32: [], T.F16: [], T.BF16: [], T.MXFP4: [],
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.IQ4_NL: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_XS: [0],
}
# Positive and negative ordinary, zeros, smallest and largest subnormal, smallest normal, largest.
HALVES = [0x2E66, 0xAE66, 0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x1234]
EXPONENTS = [0, 1, 2, 3, 100, 127, 128, 253, 254, 255]


def random_blocks(qtype, rng):
    n = len(HALVES)
    block_bytes = GGML_QUANT_SIZES[qtype][1]
    if qtype == T.F32:  # every kind of exponent, but no NaN: its payload is not part of the promise
        return (rng.standard_normal(64) * 10.0 ** rng.integers(-44, 38, 64)).astype("<f4").view(np.uint8)
    if qtype in (T.F16, T.BF16):
        bits = np.concatenate([np.array(HALVES), rng.integers(0, 0x10000, 246)]).astype("<u2")
        infinity = 0x7C00 if qtype == T.F16 else 0x7F80
        bits = np.where((bits & infinity) == infinity, bits & 0x8000 | infinity, bits)
        return bits.astype("<u2").view(np.uint8)
    blocks = rng.integers(0, 256, (n, block_bytes), dtype=np.uint8)
    for i in range(n):
        for k, offset in enumerate(SCALES[qtype]):
            half = HALVES[(i + 3 * k) % n]
            blocks[i, offset:offset + 2] = np.frombuffer(struct.pack("<H", half), dtype=np.uint8)
        if qtype == T.MXFP4:
            blocks[i, 0] = EXPONENTS[i]
    return blocks.reshape(-1)


def write_types(folder):
    for qtype in SCALES:
        blocks = random_blocks(qtype, np.random.default_rng(int(qtype)))
        with np.errstate(over="ignore"):  # the largest scales overflow to infinity, as they must
            weights = dequantize(blocks, qtype).astype("<f4").reshape(-1)
        header = struct.pack("<II", weights.size, blocks.size)
        (folder / f"{qtype.name.lower()}.bin").write_bytes(header + blocks.tobytes() + weights.tobytes())


def write_sums(folder, name, model):
    lines = []
    for tensor in GGUFReader(model).tensors:
        weights = dequantize(tensor.data, tensor.tensor_type).astype("<f4").reshape(-1)
        place = (np.arange(weights.size, dtype=np.uint64) % np.uint64(65521)) + np.uint64(1)
        total = (weights.view("<u4").astype(np.uint64) * place).sum(dtype=np.uint64)
        lines.append(f"{tensor.name} {total}\n")
    (folder / f"{name}_sums.txt").write_text("".join(lines))


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_types(folder)
    for argument in sys.argv[2:]:
        name, model = argument.split("=", 1)
        write_sums(folder, name, model)


if __name__ == "__main__":
    main()
