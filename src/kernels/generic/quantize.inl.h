// Activations to int8 (packed.h says the rule and the layout).

inline void quantize(const float* x, std::size_t x_stride, std::size_t token_begin,
                     std::size_t token_end, const Activations& out) noexcept {
  const std::size_t groups = out.cols / out.group;
  for (std::size_t token = token_begin; token < token_end; ++token) {
    const float* row = x + token * x_stride;
    const std::size_t tile = token / kTokenTile * kTokenTile;  // its first token
    const std::size_t rest = out.tokens - tile;
    const std::size_t width = rest < kTokenTile ? rest : kTokenTile;
    std::int8_t* q = out.q + tile * out.cols + 4 * (token - tile);
    float* scales = out.scales + tile * groups + (token - tile);
    std::int32_t* sums16 = out.sums16 + tile * (out.cols / 16) + (token - tile);
    for (std::size_t g = 0; g < groups; ++g) {
      V16 magnitude = splat(0.0f);
      for (std::size_t i = 0; i < out.group; i += 16) {
        magnitude = larger_magnitude(magnitude, load(row + g * out.group + i));
      }
      const float amax = largest_magnitude(magnitude);
      const bool finite = amax <= 0x1.fffffep127f;
      const bool empty = amax < 0x1p-100f;
      scales[g * width] = empty ? 0.0f : finite ? amax / 127.0f : __builtin_nanf("");
      const bool blank = empty || !finite;
      const V16 inverse = splat(blank ? 0.0f : 127.0f / amax);
      for (std::size_t k = g * out.group; k < (g + 1) * out.group; k += 16) {
        std::int8_t bytes[16] = {};
        std::int32_t sum = 0;
        if (!blank) sum = store_bytes(bytes, round_even(mul(load(row + k), inverse)));
        sums16[k / 16 * width] = sum;
        for (std::size_t i = 0; i < 16; i += 4) {
          __builtin_memcpy(q + (k + i) * width, bytes + i, 4);
        }
      }
    }
  }
}
