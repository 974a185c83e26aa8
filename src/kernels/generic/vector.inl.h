// Vector kernels, written once over V16: lane = index % 16 in ascending order, a tail is padded
// with zeros, lanes are summed by one tree.

// Calls body(first index, lanes) for each vector of n elements.
template <class Body>
[[gnu::always_inline]] inline void each_vector(std::size_t n, const Body& body) {
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, std::size_t{16});
  if (i < n) body(i, n - i);
}
inline V16 load_some(const float* from, std::size_t lanes) {
  return lanes == 16 ? load(from) : load_part(from, lanes);
}
inline void store_some(float* to, V16 a, std::size_t lanes) {
  if (lanes == 16) {
    store(to, a);
  } else {
    store_part(to, a, lanes);
  }
}

inline void rms_norm(const float* x, const float* weight, std::size_t n, float eps,
                     float* out) noexcept {
  V16 squares = splat(0.0f);
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 a = load_some(x + i, lanes);
    squares = fma(a, a, squares);
  });
  const float mean = sum_lanes(squares) / static_cast<float>(n);
  const V16 factor = splat(1.0f / __builtin_sqrtf(mean + eps));
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    V16 a = mul(load_some(x + i, lanes), factor);
    if (weight != nullptr) a = mul(a, load_some(weight + i, lanes));
    store_some(out + i, a, lanes);
  });
}

inline void layer_norm(const float* x, const float* weight, const float* bias, std::size_t n,
                       float eps, float* out) noexcept {
  V16 sum = splat(0.0f);
  each_vector(n,
              [&](std::size_t i, std::size_t lanes) { sum = add(sum, load_some(x + i, lanes)); });
  const V16 mean = splat(sum_lanes(sum) / static_cast<float>(n));
  V16 squares = splat(0.0f);
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 a = keep_lanes(sub(load_some(x + i, lanes), mean), 0, lanes, 0.0f);
    squares = fma(a, a, squares);
  });
  const float variance = sum_lanes(squares) / static_cast<float>(n);
  const V16 factor = splat(1.0f / __builtin_sqrtf(variance + eps));
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    V16 a = mul(sub(load_some(x + i, lanes), mean), factor);
    if (weight != nullptr) a = mul(a, load_some(weight + i, lanes));
    if (bias != nullptr) a = add(a, load_some(bias + i, lanes));
    store_some(out + i, a, lanes);
  });
}

inline void add_vectors(const float* a, const float* b, std::size_t n, float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    store_some(out + i, add(load_some(a + i, lanes), load_some(b + i, lanes)), lanes);
  });
}

inline void scale_vector(const float* x, float by, std::size_t n, float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    store_some(out + i, mul(load_some(x + i, lanes), splat(by)), lanes);
  });
}

inline void add_scaled(const float* x, float by, std::size_t n, float* sum) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    store_some(sum + i, fma(load_some(x + i, lanes), splat(by), load_some(sum + i, lanes)), lanes);
  });
}

inline void divide_vector(const float* acc, float sum, std::size_t n, float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    store_some(out + i, div(load_some(acc + i, lanes), splat(sum)), lanes);
  });
}

// a / (1 + e^-b)
inline V16 times_sigmoid(V16 a, V16 b) { return div(a, add(splat(1.0f), exponential(negate(b)))); }

inline V16 times_up(V16 a, const float* up, std::size_t i, std::size_t lanes) {
  return up == nullptr ? a : mul(a, load_some(up + i, lanes));
}

inline void silu_mul(const float* gate, const float* up, std::size_t n, float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 g = load_some(gate + i, lanes);
    store_some(out + i, times_up(times_sigmoid(g, g), up, i, lanes), lanes);
  });
}

inline void gelu_tanh_mul(const float* gate, const float* up, std::size_t n, float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 g = load_some(gate + i, lanes);
    const V16 cubic = mul(mul(mul(g, g), g), splat(0.044715f));
    const V16 twice = mul(add(g, cubic), splat(1.59576912f));  // 2 sqrt(2/pi)
    store_some(out + i, times_up(times_sigmoid(g, twice), up, i, lanes), lanes);
  });
}

inline void relu_squared_mul(const float* gate, const float* up, std::size_t n,
                             float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 g = max_of(splat(0.0f), load_some(gate + i, lanes));  // the second of a NaN
    store_some(out + i, times_up(mul(g, g), up, i, lanes), lanes);
  });
}

inline void gelu_erf(const float* x, std::size_t n, float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 a = load_some(x + i, lanes);
    const V16 tail = normal_tail(absolute(a));
    const V16 below = select_less(a, splat(0.0f), tail, sub(splat(1.0f), tail));
    store_some(out + i, mul(a, below), lanes);
  });
}

inline void clamped_swiglu(const float* gate, const float* up, std::size_t n, float sharpness,
                           float limit, float* out) noexcept {
  // The clamps put the value second, which keeps a NaN.
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 g = min_of(splat(limit), load_some(gate + i, lanes));
    const V16 u = max_of(splat(-limit), min_of(splat(limit), load_some(up + i, lanes)));
    const V16 gated = times_sigmoid(g, mul(splat(sharpness), g));
    store_some(out + i, mul(gated, add(u, splat(1.0f))), lanes);
  });
}

inline void xielu(const float* x, std::size_t n, const XieluFactors& factors, float* out) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 v = load_some(x + i, lanes);
    const V16 line = mul(splat(factors.beta), v);
    const V16 above = fma(mul(splat(factors.positive), v), v, line);
    const V16 held = min_of(splat(factors.edge), v);  // the second of a NaN
    const V16 below =
        fma(sub(sub(exponential(held), splat(1.0f)), v), splat(factors.negative), line);
    store_some(out + i, select_less(splat(0.0f), v, above, below), lanes);
  });
}

inline void rotate(V16& a, V16& b, V16 cos, V16 sin) {
  const V16 turned = fma(a, cos, negate(mul(b, sin)));
  b = fma(a, sin, mul(b, cos));
  a = turned;
}

inline void rope(float* x, std::size_t heads, std::size_t head_dim, std::size_t n_rot,
                 const float* cos, const float* sin, bool halves) noexcept {
  const std::size_t pairs = n_rot / 2;
  for (std::size_t h = 0; h < heads; ++h) {
    float* row = x + h * head_dim;
    each_vector(pairs, [&](std::size_t i, std::size_t lanes) {
      const V16 c = load_some(cos + i, lanes);
      const V16 s = load_some(sin + i, lanes);
      V16 a;
      V16 b;
      if (halves) {
        a = load_some(row + i, lanes);
        b = load_some(row + pairs + i, lanes);
        rotate(a, b, c, s);
        store_some(row + i, a, lanes);
        store_some(row + pairs + i, b, lanes);
      } else if (lanes == 16) {
        load_pairs(row + 2 * i, a, b);
        rotate(a, b, c, s);
        store_pairs(row + 2 * i, a, b);
      } else {
        float padded[32] = {};
        for (std::size_t j = 0; j < 2 * lanes; ++j) padded[j] = row[2 * i + j];
        load_pairs(padded, a, b);
        rotate(a, b, c, s);
        store_pairs(padded, a, b);
        for (std::size_t j = 0; j < 2 * lanes; ++j) row[2 * i + j] = padded[j];
      }
    });
  }
}

inline std::size_t argmax(const float* x, std::size_t n) noexcept {
  // The first chunk that holds the largest value, then its place in it: x is read once.
  constexpr std::size_t kChunk = 1024;
  const float lowest = -__builtin_inff();
  float best = lowest;
  std::size_t best_chunk = 0;
  for (std::size_t chunk = 0; chunk < n; chunk += kChunk) {
    const std::size_t size = n - chunk < kChunk ? n - chunk : kChunk;
    V16 largest = splat(lowest);
    each_vector(size, [&](std::size_t i, std::size_t lanes) {
      const V16 a = keep_lanes(load_some(x + chunk + i, lanes), 0, lanes, lowest);
      largest = max_of(a, largest);  // a NaN in a gives largest
    });
    const float value = max_lanes(largest);
    if (value > best) {
      best = value;
      best_chunk = chunk;
    }
  }
  for (std::size_t i = best_chunk; i < n; ++i) {
    if (x[i] == best) return i;
  }
  return 0;  // nothing but NaN
}

inline float exp_sum(float* x, std::size_t n, float by) noexcept {
  V16 largest = splat(-__builtin_inff());
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 a = load_some(x + i, lanes);
    largest = max_of(keep_lanes(a, 0, lanes, -__builtin_inff()), largest);
  });
  const V16 max = splat(max_lanes(largest));
  V16 sum = splat(0.0f);
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    const V16 a = load_some(x + i, lanes);
    const V16 e = keep_lanes(exponential(mul(sub(a, max), splat(by))), 0, lanes, 0.0f);
    store_some(x + i, e, lanes);
    sum = add(sum, e);
  });
  return sum_lanes(sum);
}

// cap * tanh(a / cap)
inline V16 cap_softly(V16 a, float cap) {
  return mul(splat(cap), hyperbolic_tangent(div(a, splat(cap))));
}

inline void softcap(float* x, std::size_t n, float cap) noexcept {
  each_vector(n, [&](std::size_t i, std::size_t lanes) {
    store_some(x + i, cap_softly(load_some(x + i, lanes), cap), lanes);
  });
}
