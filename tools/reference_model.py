"""A plain transformer in numpy, read from a GGUF: what the engine's results are held against.

Written to be read beside the architectures' descriptions, and apart from the engine: nothing is
shared with it. Weights come out of PyPI gguf's own decoder. Whole sequences only, no cache; the
arithmetic is in `dtype` (float32, or float64 to see what float32 itself loses).
"""
import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

GEMMA_PATTERN = 6  # every sixth layer sees all
GEMMA_LOCAL_BASE = 10_000.0


class Rope:
    def __init__(self, base, scale, factors=None):
        self.base, self.scale, self.factors = base, scale, factors

    def angles(self, positions, n_rot):
        frequencies = self.base ** (-np.arange(0, n_rot, 2, dtype=np.float64) / n_rot) * self.scale
        if self.factors is not None:
            frequencies = frequencies / self.factors
        return np.arange(positions, dtype=np.float64)[:, None] * frequencies


class ReferenceModel:
    def __init__(self, path, dtype=np.float32, half_kv=False):
        """half_kv: keys and values rounded to half precision, as a cache keeps them."""
        reader = GGUFReader(path)
        self.dtype = dtype
        self.half_kv = half_kv
        self.tensors = {t.name: t for t in reader.tensors}
        self.architecture = reader.fields["general.architecture"].contents()
        if self.architecture not in ("llama", "gemma3"):
            raise ValueError(f"no reference for {self.architecture}")
        self.gemma = self.architecture == "gemma3"

        def get(key, otherwise=None):
            field = reader.fields.get(f"{self.architecture}.{key}")
            return otherwise if field is None else field.contents()

        self.layers = get("block_count")
        self.width = get("embedding_length")
        self.heads = get("attention.head_count")
        self.kv_heads = get("attention.head_count_kv", self.heads)
        self.head_dim = get("attention.key_length", self.width // self.heads)
        self.n_rot = get("rope.dimension_count", self.head_dim)
        self.eps = get("attention.layer_norm_rms_epsilon")
        self.attention_scale = self.head_dim ** -0.5
        self.embedding_scale = self.width ** 0.5 if self.gemma else 1.0
        scaling = get("rope.scaling.type", "none")
        if scaling not in ("none", "linear"):
            raise ValueError(f"no reference for rope scaling {scaling}")
        factors = self.vector("rope_freqs.weight") if "rope_freqs.weight" in self.tensors else None
        rope = Rope(get("rope.freq_base", 10_000.0),
                    1 / get("rope.scaling.factor") if scaling == "linear" else 1.0, factors)
        # What each layer sees back (None: all) and how it turns.
        self.windows = [None] * self.layers
        self.ropes = [rope] * self.layers
        if self.gemma:
            for i in range(self.layers):
                if (i + 1) % GEMMA_PATTERN != 0:
                    self.windows[i] = get("attention.sliding_window")
                    self.ropes[i] = Rope(GEMMA_LOCAL_BASE, 1.0)

    def decoded(self, name):
        tensor = self.tensors[name]
        values = dequantize(tensor.data, tensor.tensor_type)
        return values.reshape(tuple(reversed([int(d) for d in tensor.shape]))).astype(self.dtype)

    def vector(self, name):
        return self.decoded(name).reshape(-1)

    def rms_norm(self, x, name):
        scale = 1 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + self.dtype(self.eps))
        return x * scale * self.vector(name)

    def rotate(self, x, angles):
        """x: [positions, heads, head_dim]. gemma's pairs are halves apart, llama's neighbours (the
        converter permuted its rows)."""
        cos = np.cos(angles).astype(self.dtype)[:, None, :]
        sin = np.sin(angles).astype(self.dtype)[:, None, :]
        out = x.copy()
        half = self.n_rot // 2
        a, b = ((slice(0, half), slice(half, self.n_rot)) if self.gemma else
                (slice(0, self.n_rot, 2), slice(1, self.n_rot, 2)))
        out[..., a] = x[..., a] * cos - x[..., b] * sin
        out[..., b] = x[..., a] * sin + x[..., b] * cos
        return out

    def attention(self, x, i):
        p = f"blk.{i}."
        n = x.shape[0]
        q = (x @ self.decoded(p + "attn_q.weight").T).reshape(n, self.heads, self.head_dim)
        k = (x @ self.decoded(p + "attn_k.weight").T).reshape(n, self.kv_heads, self.head_dim)
        v = (x @ self.decoded(p + "attn_v.weight").T).reshape(n, self.kv_heads, self.head_dim)
        if self.gemma:
            q = self.rms_norm(q, p + "attn_q_norm.weight")
            k = self.rms_norm(k, p + "attn_k_norm.weight")
        angles = self.ropes[i].angles(n, self.n_rot)
        q, k = self.rotate(q, angles), self.rotate(k, angles)
        if self.half_kv:
            k, v = (x.astype(np.float16).astype(self.dtype) for x in (k, v))
        back = np.arange(n)[:, None] - np.arange(n)[None, :]
        visible = back >= 0
        if self.windows[i] is not None:
            visible &= back < self.windows[i]
        out = np.empty((n, self.heads, self.head_dim), self.dtype)
        for h in range(self.heads):
            shared = h // (self.heads // self.kv_heads)
            scores = (q[:, h] @ k[:, shared].T) * self.dtype(self.attention_scale)
            scores = np.where(visible, scores, -np.inf)
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            out[:, h] = (scores / scores.sum(axis=-1, keepdims=True)) @ v[:, shared]
        return out.reshape(n, -1) @ self.decoded(p + "attn_output.weight").T

    def activation(self, x):
        if self.gemma:  # GELU, tanh form
            return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi).astype(self.dtype) *
                                        (x + self.dtype(0.044715) * x ** 3)))
        with np.errstate(over="ignore"):
            return x / (1 + np.exp(-x))

    def feed_forward(self, x, i):
        p = f"blk.{i}."
        gate = self.activation(x @ self.decoded(p + "ffn_gate.weight").T)
        return ((gate * (x @ self.decoded(p + "ffn_up.weight").T)) @
                self.decoded(p + "ffn_down.weight").T)

    def logits(self, ids):
        """[positions, vocabulary]"""
        embedding = self.decoded("token_embd.weight")
        x = embedding[np.asarray(ids)] * self.dtype(self.embedding_scale)
        for i in range(self.layers):
            p = f"blk.{i}."
            branch = self.attention(self.rms_norm(x, p + "attn_norm.weight"), i)
            if self.gemma:
                branch = self.rms_norm(branch, p + "post_attention_norm.weight")
            x = x + branch
            branch = self.feed_forward(self.rms_norm(x, p + "ffn_norm.weight"), i)
            if self.gemma:
                branch = self.rms_norm(branch, p + "post_ffw_norm.weight")
            x = x + branch
        output = self.decoded("output.weight") if "output.weight" in self.tensors else embedding
        return self.rms_norm(x, "output_norm.weight") @ output.T
