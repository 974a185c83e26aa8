// Kernels of layers that keep a state instead of keys and values.

inline void sigmoid_mul(const float* gate, const float* x, std::size_t n, float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 a = x == nullptr ? splat(1.0f) : load_some(x + i, lanes);
    store_some(out + i, times_sigmoid(a, load_some(gate + i, lanes)), lanes);
  });
}

inline void softplus_decay(const float* x, const float* bias, const float* rate, std::size_t n,
                           float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 step = softplus(add(load_some(x + i, lanes), load_some(bias + i, lanes)));
    store_some(out + i, exponential(mul(load_some(rate + i, lanes), step)), lanes);
  });
}

inline void convolve_silu(const float* const* rows, const float* weights, std::size_t stride,
                          std::size_t taps, std::size_t n, float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    V16 sum = splat(0.0f);
    for (std::size_t j = 0; j < taps; ++j) {
      sum = fma(load_some(weights + j * stride + i, lanes), load_some(rows[j] + i, lanes), sum);
    }
    store_some(out + i, times_sigmoid(sum, sum), lanes);
  });
}

// Columns [first, first + 16 * kVectors) of the state, or the `lanes` last ones. The state's rows
// are read twice: once for what is there, once to change it.
template <int kVectors>
[[gnu::always_inline]] inline void delta_columns(const DeltaArgs& a, std::size_t first,
                                                 std::size_t lanes) {
  float* state = a.state + first;
  const V16 decay = splat(a.decay);
  V16 sums[kVectors];
  unroll<kVectors>([&](auto v) { sums[v] = splat(0.0f); });
  for (std::size_t i = 0; i < a.key_dim; ++i) {
    const float* row = state + i * a.value_dim;
    const V16 key = splat(a.k[i]);
    unroll<kVectors>(
        [&](auto v) { sums[v] = fma(mul(load_some(row + 16 * v, lanes), decay), key, sums[v]); });
  }
  V16 changes[kVectors];
  unroll<kVectors>([&](auto v) {
    const V16 value = load_some(a.v + first + 16 * v, lanes);
    changes[v] = mul(sub(value, sums[v]), splat(a.beta));
    sums[v] = splat(0.0f);
  });
  for (std::size_t i = 0; i < a.key_dim; ++i) {
    float* row = state + i * a.value_dim;
    const V16 key = splat(a.k[i]);
    const V16 query = splat(a.q[i]);
    unroll<kVectors>([&](auto v) {
      const V16 kept = mul(load_some(row + 16 * v, lanes), decay);
      const V16 changed = fma(key, changes[v], kept);
      store_some(row + 16 * v, changed, lanes);
      sums[v] = fma(changed, query, sums[v]);
    });
  }
  unroll<kVectors>([&](auto v) { store_some(a.out + first + 16 * v, sums[v], lanes); });
}

inline void delta_rule(const DeltaArgs& args) noexcept {
  std::size_t first = 0;
  constexpr std::size_t kWide = 16 * kDeltaVectors;
  for (; first + kWide <= args.value_dim; first += kWide) {
    delta_columns<kDeltaVectors>(args, first, 16);
  }
  for (; first + 16 <= args.value_dim; first += 16) delta_columns<1>(args, first, 16);
  if (first < args.value_dim) delta_columns<1>(args, first, args.value_dim - first);
}
