// Attention of one token over one range of 256 positions (kernel_table.h says the order).

template <bool rest>
inline void store_slot(const float* k, const float* v, std::size_t head_dim, std::size_t slot,
                       std::uint16_t* page_k, std::uint16_t* page_v) {
  const auto put = [](std::uint16_t* to, const float* from) __attribute__((always_inline)) {
    const V16 value = load(from);
    store_half(to, value);
    if constexpr (rest) store_half(to, sub(value, load_half(to)));
  };
  for (std::size_t d = 0; d < head_dim; d += 16) {
    std::uint16_t column[16];
    put(column, k + d);
    for (std::size_t i = 0; i < 16; ++i) page_k[(d + i) * kPagePositions + slot] = column[i];
    put(page_v + slot * head_dim + d, v + d);
  }
}

inline void store_kv(const float* k, const float* v, std::size_t head_dim, std::size_t slot,
                     std::uint16_t* page_k, std::uint16_t* page_v) noexcept {
  store_slot<false>(k, v, head_dim, slot, page_k, page_v);
}

inline void store_kv_rest(const float* k, const float* v, std::size_t head_dim, std::size_t slot,
                          std::uint16_t* rest_k, std::uint16_t* rest_v) noexcept {
  store_slot<true>(k, v, head_dim, slot, rest_k, rest_v);
}

// Sixteen keys or values from `at` of a page on.
template <bool rest>
inline V16 load_kv(const std::uint16_t* page, const std::uint16_t* rest_page, std::size_t at) {
  if constexpr (rest) return add(load_half(page + at), load_half(rest_page + at));
  return load_half(page + at);
}

inline constexpr std::size_t kRangePages = kRangePositions / kPagePositions;

// Scores of `heads` heads, one page at a time, then p[t] = exp(s[t] - max) in place.
template <int heads, bool rest>
inline void range_scores(const AttendArgs& args, std::size_t head,
                         float (&p)[heads][kRangePositions], float (&range_max)[heads],
                         float (&range_sum)[heads]) {
  const float* q = args.q + head * args.head_dim;
  const std::size_t page_begin = args.first / kPagePositions;
  const std::size_t page_end = (args.end + kPagePositions - 1) / kPagePositions;
  V16 largest[heads];
  unroll<heads>([&](auto h)
                    __attribute__((always_inline)) { largest[h] = splat(-__builtin_inff()); });
  for (std::size_t page = page_begin; page < page_end; ++page) {
    const std::uint16_t* k = args.pages[page].k;
    const std::uint16_t* k_rest = args.pages[page].k_rest;
    V16 acc[heads][2];
    unroll<heads>([&](auto h) __attribute__((always_inline)) {
      acc[h][0] = splat(0.0f);
      acc[h][1] = splat(0.0f);
    });
    for (std::size_t d = 0; d < args.head_dim; ++d) {
      const V16 k0 = load_kv<rest>(k, k_rest, d * kPagePositions);
      const V16 k1 = load_kv<rest>(k, k_rest, d * kPagePositions + 16);
      unroll<heads>([&](auto h) __attribute__((always_inline)) {
        const V16 value = splat(q[h.value * args.head_dim + d]);
        acc[h][0] = fma(value, k0, acc[h][0]);
        acc[h][1] = fma(value, k1, acc[h][1]);
      });
    }
    unroll<heads * 2>([&](auto i) __attribute__((always_inline)) {
      constexpr int h = i.value / 2;
      constexpr int part = i.value % 2;
      const std::size_t t = page * kPagePositions + part * 16;
      V16 s = mul(acc[h][part], splat(args.scale));
      if (args.softcap != 0) s = cap_softly(s, args.softcap);
      // Invisible lanes may hold anything, NaN too.
      const std::size_t first = args.first > t ? args.first - t : 0;
      const std::size_t end = args.end > t ? args.end - t : 0;
      s = keep_lanes(s, first, end, -__builtin_inff());
      largest[h] = max_of(s, largest[h]);
      store(&p[h][t], s);
    });
  }
  unroll<heads>([&](auto h) __attribute__((always_inline)) {
    range_max[h] = max_lanes(largest[h]);
    V16 sum = splat(0.0f);
    for (std::size_t t = page_begin * kPagePositions; t < page_end * kPagePositions; t += 16) {
      const V16 e = exponential(sub(load(&p[h][t]), splat(range_max[h])));
      sum = add(sum, e);
      store(&p[h][t], e);
    }
    range_sum[h] = sum_lanes(sum);
  });
}

// acc of `vectors` x 16 dimensions from `d` on, merged into the running state.
template <int heads, int vectors, bool rest>
inline void range_values(const AttendArgs& args, std::size_t head, std::size_t d,
                         const float (&p)[heads][kRangePositions], const float (&keep)[heads],
                         const float (&take)[heads], const bool (&replace)[heads]) {
  V16 acc[heads][vectors];
  unroll<heads>([&](auto h) __attribute__((always_inline)) {
    unroll<vectors>([&](auto v) __attribute__((always_inline)) { acc[h][v] = splat(0.0f); });
  });
  for (std::size_t page = 0; page < kRangePages; ++page) {
    const std::size_t begin = page * kPagePositions;
    const std::size_t first = args.first > begin ? args.first : begin;
    const std::size_t end = args.end < begin + kPagePositions ? args.end : begin + kPagePositions;
    for (std::size_t t = first; t < end; ++t) {
      const std::size_t row = (t - begin) * args.head_dim + d;
      V16 values[vectors];
      unroll<vectors>([&](auto v) __attribute__((always_inline)) {
        values[v] = load_kv<rest>(args.pages[page].v, args.pages[page].v_rest, row + 16 * v.value);
      });
      unroll<heads>([&](auto h) __attribute__((always_inline)) {
        const V16 weight = splat(p[h][t]);
        unroll<vectors>([&](auto v) __attribute__((always_inline)) {
          acc[h][v] = fma(weight, values[v], acc[h][v]);
        });
      });
    }
  }
  unroll<heads>([&](auto h) __attribute__((always_inline)) {
    float* out = args.acc + (head + h.value) * args.head_dim + d;
    unroll<vectors>([&](auto v) __attribute__((always_inline)) {
      V16 merged = acc[h][v];
      if (!replace[h]) {
        const V16 kept = mul(load(out + 16 * v.value), splat(keep[h]));
        merged = fma(merged, splat(take[h]), kept);
      }
      store(out + 16 * v.value, merged);
    });
  });
}

template <int heads, bool rest>
inline void attend_heads(const AttendArgs& args, std::size_t head) {
  float p[heads][kRangePositions];
  float range_max[heads];
  float range_sum[heads];
  range_scores<heads, rest>(args, head, p, range_max, range_sum);
  float keep[heads];
  float take[heads];
  bool replace[heads];
  for (int h = 0; h < heads; ++h) {
    float& max = args.max[head + static_cast<std::size_t>(h)];
    float& sum = args.sum[head + static_cast<std::size_t>(h)];
    replace[h] = max == -__builtin_inff();
    if (replace[h]) {
      keep[h] = 0;
      take[h] = 1;
      max = range_max[h];
      sum = range_sum[h];
      continue;
    }
    const float merged = max > range_max[h] ? max : range_max[h];
    float factors[16] = {max - merged, range_max[h] - merged};
    store(factors, exponential(load(factors)));
    keep[h] = factors[0];
    take[h] = factors[1];
    max = merged;
    sum = __builtin_fmaf(range_sum[h], take[h], sum * keep[h]);
  }
  std::size_t d = 0;
  for (; d + 64 <= args.head_dim; d += 64) {
    range_values<heads, 4, rest>(args, head, d, p, keep, take, replace);
  }
  for (; d < args.head_dim; d += 16) {
    range_values<heads, 1, rest>(args, head, d, p, keep, take, replace);
  }
}

template <bool rest>
inline void attend_all(const AttendArgs& args) {
  std::size_t head = 0;
  for (; head + 4 <= args.heads; head += 4) attend_heads<4, rest>(args, head);
  switch (args.heads - head) {
    case 3:
      return attend_heads<3, rest>(args, head);
    case 2:
      return attend_heads<2, rest>(args, head);
    case 1:
      return attend_heads<1, rest>(args, head);
    default:
      return;
  }
}

inline void attend(const AttendArgs& args) noexcept {
  args.with_rest ? attend_all<true>(args) : attend_all<false>(args);
}
