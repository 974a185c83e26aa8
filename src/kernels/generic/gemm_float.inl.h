// The product with an unquantised matrix: every output is one fma chain in ascending k, for every
// number of tokens. Latency is hidden by several panels and tokens at once, never by splitting k.

struct LoadF32 {
  using Value = float;
  static V16 row(const float* from) { return load(from); }
};
struct LoadF16 {
  using Value = std::uint16_t;
  static V16 row(const std::uint16_t* from) { return load_half(from); }
};
struct LoadBf16 {
  using Value = std::uint16_t;
  static V16 row(const std::uint16_t* from) { return load_bfloat16(from); }
};

template <class Load, int panels, int count>
inline void float_tile(const FloatMatrix& w, std::size_t panel, const float* x,
                       std::size_t x_stride, float* out, std::size_t out_stride) {
  using Value = typename Load::Value;
  const std::size_t panel_values = w.cols * kPanelRows;
  const Value* values = static_cast<const Value*>(w.values) + panel * panel_values;
  V16 acc[panels][count];
  unroll<panels>([&](auto p) __attribute__((always_inline)) {
    unroll<count>([&](auto t) __attribute__((always_inline)) { acc[p][t] = splat(0.0f); });
  });
  for (std::size_t k = 0; k < w.cols; ++k) {
    V16 weights[panels];
    unroll<panels>([&](auto p) __attribute__((always_inline)) {
      weights[p] = Load::row(values + p.value * panel_values + k * kPanelRows);
    });
    unroll<count>([&](auto t) __attribute__((always_inline)) {
      const V16 value = splat(x[t.value * x_stride + k]);
      unroll<panels>([&](auto p) __attribute__((always_inline)) {
        acc[p][t] = fma(weights[p], value, acc[p][t]);
      });
    });
  }
  unroll<count>([&](auto t) __attribute__((always_inline)) {
    unroll<panels>([&](auto p) __attribute__((always_inline)) {
      store(out + t.value * out_stride + p.value * kPanelRows, acc[p][t]);
    });
  });
}

// Every token for `panels` panels, kFloatTokens at a time, then 4, then singly.
template <class Load, int panels>
inline void float_panels(const FloatMatrix& w, std::size_t panel, const float* x,
                         std::size_t tokens, std::size_t x_stride, float* out,
                         std::size_t out_stride) {
  std::size_t token = 0;
  const auto run = [&](auto count) {
    while (token + count.value <= tokens) {
      float_tile<Load, panels, count.value>(w, panel, x + token * x_stride, x_stride,
                                            out + token * out_stride + panel * kPanelRows,
                                            out_stride);
      token += count.value;
    }
  };
  run(Int<kFloatTokens>{});
  if constexpr (kFloatTokens > 4) run(Int<4>{});
  run(Int<1>{});
}

template <class Load>
inline void gemm_float_of(const FloatMatrix& w, const float* x, std::size_t tokens,
                          std::size_t x_stride, std::size_t panel_begin, std::size_t panel_end,
                          float* out, std::size_t out_stride) {
  std::size_t panel = panel_begin;
  const auto run = [&](auto panels) {
    for (; panel + panels.value <= panel_end; panel += panels.value) {
      float_panels<Load, panels.value>(w, panel, x, tokens, x_stride, out, out_stride);
    }
  };
  run(Int<kFloatPanels>{});
  run(Int<1>{});
}

inline void gemm_float(const FloatMatrix& w, const float* x, std::size_t tokens,
                       std::size_t x_stride, std::size_t panel_begin, std::size_t panel_end,
                       float* out, std::size_t out_stride) noexcept {
  const auto run = [&](auto load) {
    gemm_float_of<decltype(load)>(w, x, tokens, x_stride, panel_begin, panel_end, out, out_stride);
  };
  switch (w.kind) {
    case FloatKind::F32:
      return run(LoadF32{});
    case FloatKind::F16:
      return run(LoadF16{});
    case FloatKind::BF16:
      return run(LoadBf16{});
  }
}
