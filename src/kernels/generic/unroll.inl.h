// A loop whose body is compiled once for each value of its counter. Needed because arrays of vector
// registers stay registers only when every index is a constant, and because gcc 12 ignores unroll
// pragmas on nested loops (it then moves two registers for every multiply).

template <int value_>
struct Int {
  static constexpr int value = value_;
  constexpr operator int() const { return value_; }
};

template <int end, int begin = 0, class Body>
[[gnu::always_inline]] inline void unroll(const Body& body) {
  if constexpr (begin < end) {
    body(Int<begin>{});
    unroll<end, begin + 1>(body);
  }
}
