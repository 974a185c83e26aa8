// The product with a quantised matrix, written once. A register tile is `panels` x 16 rows by
// `count` tokens of an activation tile that is `width` tokens wide. Integer sums of a block stay in
// registers; the float accumulators may live in memory, they are touched once a block.

// The activations of one tile of tokens, from token `first` of it on. `width` 0: known at run time
// only, which is enough for scalar code and compiles in an eighth of the time.
template <int width>
struct TokenTile {
  TokenTile(const Activations& x, std::size_t tile, int first)
      : q(x.q + tile * kTokenTile * x.cols + 4 * first),
        scales(x.scales + tile * kTokenTile * (x.cols / x.group) + first),
        sums16(x.sums16 + tile * kTokenTile * (x.cols / 16) + first),
        tokens(x.tokens - tile * kTokenTile < kTokenTile ? x.tokens - tile * kTokenTile
                                                         : kTokenTile) {}

  std::size_t stride() const { return width == 0 ? tokens : width; }
  const std::int8_t* four(std::size_t k4) const { return q + k4 * 4 * stride(); }
  const float* scales_of(std::size_t group) const { return scales + group * stride(); }
  const std::int32_t* sums_of(std::size_t k16) const { return sums16 + k16 * stride(); }

  const std::int8_t* q;
  const float* scales;
  const std::int32_t* sums16;
  std::size_t tokens;
};

template <PackedKind kind>
inline constexpr std::size_t kBlockCodeBytes =
    kPanelRows * kBlock / (traits(kind).wide_codes ? 1 : 2);

// Asks for the codes that the same stream reads kPrefetchBytes later (a constant of the ISA
// folder).
template <PackedKind kind>
[[gnu::always_inline]] inline void fetch_ahead(const std::uint8_t* codes) {
  if constexpr (kPrefetchBytes != 0) {
    for (std::size_t at = 0; at < kBlockCodeBytes<kind>; at += 64) {
      prefetch(codes + kPrefetchBytes + at);
    }
  }
}

// Adds the products of code groups [begin, end) of a block of 32 to `sums`.
template <PackedKind kind, int panels, int width, int count, int begin, int end>
[[gnu::always_inline]] inline void dot_groups(const CodeReader<kind>& reader,
                                              const std::uint8_t* const (&codes)[panels],
                                              const TokenTile<width>& x, std::size_t k4,
                                              SubSum<kind> (&sums)[panels][count]) {
  const std::int8_t* q = x.four(k4);
  unroll<end, begin>([&](auto group) __attribute__((always_inline)) {
    Codes values[panels];
    unroll<panels>([&](auto p) __attribute__((always_inline)) {
      values[p] = reader.template read<group.value>(codes[p]);
    });
    unroll<count>([&](auto t) __attribute__((always_inline)) {
      const Four four = load_four(q + 4 * (group.value * x.stride() + t.value));
      unroll<panels>([&](auto p)
                         __attribute__((always_inline)) { sums[p][t].dot(values[p], four); });
    });
  });
}

// `out` is the first token's row.
template <int panels, int count>
[[gnu::always_inline]] inline void store_tile(const V16 (&acc)[panels][count],
                                              const std::size_t (&panel)[panels], float* out,
                                              std::size_t out_stride) {
  unroll<count>([&](auto t) __attribute__((always_inline)) {
    unroll<panels>([&](auto p) __attribute__((always_inline)) {
      store(out + t.value * out_stride + panel[p] * kPanelRows, acc[p][t]);
    });
  });
}

// Sums of activations over `sub` k, token by token, times `factor`.
template <std::size_t sub, int width, int count>
[[gnu::always_inline]] inline void scaled_sums(const TokenTile<width>& x, std::size_t k16,
                                               std::int32_t factor, std::int32_t (&out)[count]) {
  const std::int32_t* sums = x.sums_of(k16);
  for (int t = 0; t < count; ++t) {
    std::int32_t sum = sums[t];
    if constexpr (sub == 32) sum += sums[x.stride() + static_cast<std::size_t>(t)];
    out[t] = sum * factor;
  }
}

template <PackedKind kind, int panels, int count>
[[gnu::always_inline]] inline void start_sums(const std::int32_t (&start)[count],
                                              SubSum<kind> (&sums)[panels][count]) {
  unroll<panels>([&](auto p) __attribute__((always_inline)) {
    unroll<count>([&](auto t) __attribute__((always_inline)) { sums[p][t].start(start[t]); });
  });
}

// 16 rows' scales or minima of a Block kind.
template <PackedKind kind>
[[gnu::always_inline]] inline V16 load_scales(const void* plane, std::size_t at) {
  if constexpr (traits(kind).scales == ScaleType::F32) {
    return load(static_cast<const float*>(plane) + at);
  } else if constexpr (traits(kind).scales == ScaleType::Bf16) {
    return load_bfloat16(static_cast<const std::uint16_t*>(plane) + at);
  } else {
    return load_half(static_cast<const std::uint16_t*>(plane) + at);
  }
}

// Kinds with one float scale for each 32 weights.
template <PackedKind kind, int panels, int width, int count>
inline void block_tile(const QuantMatrix& w, const std::size_t (&panel)[panels],
                       const TokenTile<width>& x, float* out, std::size_t out_stride) {
  constexpr KindTraits k = traits(kind);
  const std::size_t blocks = w.cols / kBlock;
  const auto factor = -static_cast<std::int32_t>(w.zero);
  const CodeReader<kind> reader(w);
  V16 acc[panels][count];
  unroll<panels>([&](auto p) __attribute__((always_inline)) {
    unroll<count>([&](auto t) __attribute__((always_inline)) { acc[p][t] = splat(0.0f); });
  });
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint8_t* codes[panels];
    for (int p = 0; p < panels; ++p) {
      codes[p] = w.codes + (panel[p] * blocks + b) * kBlockCodeBytes<kind>;
      fetch_ahead<kind>(codes[p]);
    }
    std::int32_t start[count] = {};
    float weighted[count] = {};  // sum(q) * xs, for the minimum
    const float* xs = x.scales_of(b);
    if constexpr (k.minimum) {
      std::int32_t sums[count];
      scaled_sums<32, width, count>(x, 2 * b, 1, sums);
      for (int t = 0; t < count; ++t) {
        weighted[t] = static_cast<float>(sums[t]) * xs[t];
        start[t] = sums[t] * kCodeShift<kind>;
      }
    } else {
      scaled_sums<32, width, count>(x, 2 * b, factor, start);
    }
    SubSum<kind> sums[panels][count];
    start_sums<kind, panels, count>(start, sums);
    dot_groups<kind, panels, width, count, 0, 8>(reader, codes, x, 8 * b, sums);
    unroll<panels>([&](auto p) __attribute__((always_inline)) {
      const std::size_t scale_at = (panel[p] * blocks + b) * kPanelRows;
      const V16 d = load_scales<kind>(w.scales, scale_at);
      V16 m;
      if constexpr (k.minimum) m = load_scales<kind>(w.minimum, scale_at);
      unroll<count>([&](auto t) __attribute__((always_inline)) {
        const V16 sum = to_float(sums[p][t].total(start[t]));
        acc[p][t] = fma(sum, mul(d, splat(xs[t])), acc[p][t]);
        if constexpr (k.minimum) acc[p][t] = fma(splat(weighted[t]), m, acc[p][t]);
      });
    });
  }
  store_tile<panels, count>(acc, panel, out, out_stride);
}

// Kinds with integer sub-scales and one float step for each 256 weights.
template <PackedKind kind, int panels, int width, int count>
inline void super_tile(const QuantMatrix& w, const std::size_t (&panel)[panels],
                       const TokenTile<width>& x, float* out, std::size_t out_stride) {
  constexpr KindTraits k = traits(kind);
  constexpr int kSubs = static_cast<int>(kSuperBlock / k.sub);
  constexpr int kSubsOfBlock = static_cast<int>(kBlock / k.sub);
  constexpr int kGroups = static_cast<int>(k.sub / 4);
  const std::size_t supers = w.cols / kSuperBlock;
  const auto factor = -static_cast<std::int32_t>(w.zero);
  const CodeReader<kind> reader(w);
  V16 acc[panels][count];
  unroll<panels>([&](auto p) __attribute__((always_inline)) {
    unroll<count>([&](auto t) __attribute__((always_inline)) { acc[p][t] = splat(0.0f); });
  });
  for (std::size_t s = 0; s < supers; ++s) {
    I16 scaled[panels][count];
    unroll<panels>([&](auto p) __attribute__((always_inline)) {
      unroll<count>([&](auto t)
                        __attribute__((always_inline)) { scaled[p][t] = splat_integer(0); });
    });
    for (std::size_t b = 0; b < 8; ++b) {
      const std::uint8_t* codes[panels];
      for (int p = 0; p < panels; ++p) {
        codes[p] = w.codes + ((panel[p] * supers + s) * 8 + b) * kBlockCodeBytes<kind>;
        fetch_ahead<kind>(codes[p]);
      }
      unroll<kSubsOfBlock>([&](auto half) __attribute__((always_inline)) {
        std::int32_t start[count] = {};
        if constexpr (!k.minimum) {
          scaled_sums<k.sub, width, count>(x, 2 * (8 * s + b) + half.value, factor, start);
        }
        SubSum<kind> sums[panels][count];
        start_sums<kind, panels, count>(start, sums);
        constexpr int kFirst = half.value * kGroups;
        dot_groups<kind, panels, width, count, kFirst, kFirst + kGroups>(reader, codes, x,
                                                                         8 * (8 * s + b), sums);
        unroll<panels>([&](auto p) __attribute__((always_inline)) {
          const std::size_t at =
              ((panel[p] * supers + s) * kSubs + b * kSubsOfBlock + half.value) * kPanelRows;
          I16 sub_scale;
          if constexpr (k.minimum) {
            sub_scale = load_bytes(static_cast<const std::uint8_t*>(w.sub_scales) + at);
          } else {
            sub_scale = load_bytes(static_cast<const std::int8_t*>(w.sub_scales) + at);
          }
          unroll<count>([&](auto t) __attribute__((always_inline)) {
            scaled[p][t] = multiply_add(sums[p][t].total(start[t]), sub_scale, scaled[p][t]);
          });
        });
      });
    }
    const float* xs = x.scales_of(s);
    unroll<panels>([&](auto p) __attribute__((always_inline)) {
      const std::size_t at = panel[p] * supers + s;
      const V16 d = load_half(static_cast<const std::uint16_t*>(w.scales) + at * kPanelRows);
      unroll<count>([&](auto t) __attribute__((always_inline)) {
        acc[p][t] = fma(to_float(scaled[p][t]), mul(d, splat(xs[t])), acc[p][t]);
      });
      if constexpr (k.minimum) {
        const V16 dmin = load_half(static_cast<const std::uint16_t*>(w.minimum) + at * kPanelRows);
        const std::uint8_t* sub_minimum = w.sub_minimum + at * kSubs * kPanelRows;
        unroll<count>([&](auto t)
                          __attribute__((always_inline)) { scaled[p][t] = splat_integer(0); });
        for (std::size_t sub = 0; sub < kSubs; ++sub) {
          const I16 m = load_bytes(sub_minimum + sub * kPanelRows);
          std::int32_t sums[count];
          scaled_sums<k.sub, width, count>(x, (kSuperBlock * s + k.sub * sub) / 16, 1, sums);
          unroll<count>([&](auto t) __attribute__((always_inline)) {
            scaled[p][t] = multiply_add(m, splat_integer(sums[t]), scaled[p][t]);
          });
        }
        unroll<count>([&](auto t) __attribute__((always_inline)) {
          acc[p][t] = fma(negate(to_float(scaled[p][t])), mul(dmin, splat(xs[t])), acc[p][t]);
        });
      }
    });
  }
  store_tile<panels, count>(acc, panel, out, out_stride);
}

template <PackedKind kind, int panels, int width, int count>
inline void token_tile(const QuantMatrix& w, const std::size_t (&panel)[panels],
                       const Activations& x, std::size_t tile, int first, float* out,
                       std::size_t out_stride) {
  const TokenTile<width> tokens(x, tile, first);
  float* to = out + (tile * kTokenTile + static_cast<std::size_t>(first)) * out_stride;
  if constexpr (traits(kind).super) {
    super_tile<kind, panels, width, count>(w, panel, tokens, to, out_stride);
  } else {
    block_tile<kind, panels, width, count>(w, panel, tokens, to, out_stride);
  }
}

// All tokens of one tile for the panels from `begin` on, kTileTokens at a time.
template <PackedKind kind, int panels, int width>
inline void panel_tile(const QuantMatrix& w, std::size_t begin, const Activations& x,
                       std::size_t tile, float* out, std::size_t out_stride) {
  constexpr int kWhole = width / kTileTokens * kTileTokens;
  std::size_t panel[panels];
  for (std::size_t p = 0; p < panels; ++p) panel[p] = begin + p;
  for (int first = 0; first < kWhole; first += kTileTokens) {
    token_tile<kind, panels, width, kTileTokens>(w, panel, x, tile, first, out, out_stride);
  }
  if constexpr (kWhole < width) {
    constexpr int kRest = width - kWhole;
    token_tile<kind, panels, width, kRest>(w, panel, x, tile, kWhole, out, out_stride);
  }
}

template <PackedKind kind>
inline void panel_tile_of_width(std::size_t width, const QuantMatrix& w, std::size_t panel,
                                const Activations& x, std::size_t tile, float* out,
                                std::size_t out_stride) {
  if constexpr (kTileTokens == 1) {
    const int tokens = static_cast<int>(width < kTokenTile ? width : kTokenTile);
    for (int t = 0; t < tokens; ++t) {
      token_tile<kind, 1, 0, 1>(w, {panel}, x, tile, t, out, out_stride);
    }
    return;
  } else {
    switch (width) {
      case 1:
        return panel_tile<kind, 1, 1>(w, panel, x, tile, out, out_stride);
      case 2:
        return panel_tile<kind, 1, 2>(w, panel, x, tile, out, out_stride);
      case 3:
        return panel_tile<kind, 1, 3>(w, panel, x, tile, out, out_stride);
      case 4:
        return panel_tile<kind, 1, 4>(w, panel, x, tile, out, out_stride);
      case 5:
        return panel_tile<kind, 1, 5>(w, panel, x, tile, out, out_stride);
      case 6:
        return panel_tile<kind, 1, 6>(w, panel, x, tile, out, out_stride);
      case 7:
        return panel_tile<kind, 1, 7>(w, panel, x, tile, out, out_stride);
      default:
        return panel_tile<kind, 1, 8>(w, panel, x, tile, out, out_stride);
    }
  }
}

// Panels outside, token tiles inside: the panels of a register tile stay in L1 while a block of
// activations of at most kActivationBytes streams by from L2.
inline constexpr std::size_t kActivationBytes = std::size_t{512} << 10;

// From this many tiles on the weights come from cache most of the time, and several panels a
// register tile share the loads of activations. Below it the weights stream from memory, and one
// panel is one stream: 8 tokens a pass read 22 GB/s that way and 11 with two panels.
inline constexpr std::size_t kTilesForPanels = 4;

template <PackedKind kind>
inline void gemm_kind(const QuantMatrix& w, const Activations& x, std::size_t panel_begin,
                      std::size_t panel_end, float* out, std::size_t out_stride) {
  const std::size_t tiles = (x.tokens + kTokenTile - 1) / kTokenTile;
  const std::size_t fitting = kActivationBytes / (kTokenTile * (x.cols + 1));
  const std::size_t tiles_at_once = fitting == 0 ? 1 : fitting;
  for (std::size_t tile0 = 0; tile0 < tiles; tile0 += tiles_at_once) {
    const std::size_t tile_end = tiles - tile0 < tiles_at_once ? tiles : tile0 + tiles_at_once;
    std::size_t panel = panel_begin;
    if constexpr (kTilePanels > 1) {
      // Only tiles of full width have this form: a narrow last one goes panel by panel.
      const std::size_t whole = x.tokens / kTokenTile < tile_end ? tile_end - 1 : tile_end;
      while (tiles >= kTilesForPanels && panel + kTilePanels <= panel_end) {
        for (std::size_t tile = tile0; tile < whole; ++tile) {
          panel_tile<kind, kTilePanels, kTokenTile>(w, panel, x, tile, out, out_stride);
        }
        for (std::size_t p = panel; whole < tile_end && p < panel + kTilePanels; ++p) {
          panel_tile_of_width<kind>(x.tokens - whole * kTokenTile, w, p, x, whole, out, out_stride);
        }
        panel += kTilePanels;
      }
    }
    for (; panel < panel_end; ++panel) {
      for (std::size_t tile = tile0; tile < tile_end; ++tile) {
        panel_tile_of_width<kind>(x.tokens - tile * kTokenTile, w, panel, x, tile, out, out_stride);
      }
    }
  }
}

// The one entry: picks the kind.
inline void gemm_quant_any(const QuantMatrix& w, const Activations& x, std::size_t panel_begin,
                           std::size_t panel_end, float* out, std::size_t out_stride) noexcept {
  const auto run = [&](auto kind) {
    gemm_kind<static_cast<PackedKind>(kind.value)>(w, x, panel_begin, panel_end, out, out_stride);
  };
  switch (w.kind) {
    case PackedKind::Block4:
      return run(Int<static_cast<int>(PackedKind::Block4)>{});
    case PackedKind::Block4Min:
      return run(Int<static_cast<int>(PackedKind::Block4Min)>{});
    case PackedKind::Block4Lut:
      return run(Int<static_cast<int>(PackedKind::Block4Lut)>{});
    case PackedKind::Block8:
      return run(Int<static_cast<int>(PackedKind::Block8)>{});
    case PackedKind::Block8Min:
      return run(Int<static_cast<int>(PackedKind::Block8Min)>{});
    case PackedKind::Super4Min:
      return run(Int<static_cast<int>(PackedKind::Super4Min)>{});
    case PackedKind::Super4Min16:
      return run(Int<static_cast<int>(PackedKind::Super4Min16)>{});
    case PackedKind::Super4x16:
      return run(Int<static_cast<int>(PackedKind::Super4x16)>{});
    case PackedKind::Super4Lut:
      return run(Int<static_cast<int>(PackedKind::Super4Lut)>{});
    case PackedKind::Super8Min:
      return run(Int<static_cast<int>(PackedKind::Super8Min)>{});
    case PackedKind::Super8x16:
      return run(Int<static_cast<int>(PackedKind::Super8x16)>{});
    case PackedKind::Block4Wide:
      return run(Int<static_cast<int>(PackedKind::Block4Wide)>{});
    case PackedKind::Block8Wide:
      return run(Int<static_cast<int>(PackedKind::Block8Wide)>{});
    case PackedKind::Block4Brain:
      return run(Int<static_cast<int>(PackedKind::Block4Brain)>{});
    case PackedKind::Block8Brain:
      return run(Int<static_cast<int>(PackedKind::Block8Brain)>{});
  }
}
