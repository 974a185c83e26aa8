// exp and tanh of 16 lanes by our own polynomials: the same operations in the same order on every
// instruction set. No libm, whose bits differ between versions. Coefficients: minimax fits of the
// remainders named below, rounded to float.

// e^x: x = n ln2 + r with |r| <= ln2/2, e^r = 1 + r + r^2 q(r). At most 1.01 ulp for normal results
// (vector_test.cc). -inf gives 0, above 88.73 inf, subnormals are kept, NaN stays NaN.
inline V16 exponential(V16 x) {
  // 2^-151 rounds to 0 and 2^129 to inf; the clamps put x second, which keeps a NaN.
  x = min_of(splat(89.0f), max_of(splat(-105.0f), x));
  const V16 n = round_even(mul(x, splat(1.44269502f)));
  V16 r = fma(n, splat(-0.693145752f), x);  // ln2 in two parts; n times the first is exact
  r = fma(n, splat(-1.42860677e-06f), r);
  V16 q = splat(0.00139262679f);
  q = fma(q, r, splat(0.00836324692f));
  q = fma(q, r, splat(0.0416665524f));
  q = fma(q, r, splat(0.166665763f));
  q = fma(q, r, splat(0.5f));
  const V16 p = add(fma(mul(r, r), q, r), splat(1.0f));
  return times_power_of_two(p, n);
}

// tanh x: below 0.625 x + x^3 q(x^2), above 1 - 2 / (e^2|x| + 1) with the sign of x. At most 2 ulp.
inline V16 hyperbolic_tangent(V16 x) {
  const V16 magnitude = absolute(x);
  const V16 square = mul(x, x);
  V16 q = splat(-0.00609671418f);
  q = fma(q, square, splat(0.0209971797f));
  q = fma(q, square, splat(-0.0538509078f));
  q = fma(q, square, splat(0.133327693f));
  q = fma(q, square, splat(-0.333333284f));
  const V16 small = fma(mul(square, magnitude), q, magnitude);
  const V16 e = exponential(add(magnitude, magnitude));
  const V16 large = sub(splat(1.0f), div(splat(2.0f), add(e, splat(1.0f))));
  return with_sign_of(select_less(magnitude, splat(0.625f), small, large), x);
}

// The part of the standard normal distribution below -a, for a >= 0: e^(-a^2/2) t P(t) with
// t = 1 / (1 + 0.3 a). Relative error at most 4 ulp; 0 from where it is below every float. NaN
// stays NaN.
inline V16 normal_tail(V16 a) {
  a = min_of(splat(14.4f), a);
  const V16 square = mul(a, a);
  const V16 lost = fma(a, a, negate(square));  // by its rounding
  const V16 e = exponential(mul(square, splat(-0.5f)));
  const V16 t = div(splat(1.0f), fma(a, splat(0.3f), splat(1.0f)));
  const V16 w = sub(t, splat(0.593720734f));
  V16 q = splat(-0.0206226688f);
  q = fma(q, w, splat(0.00223415159f));
  q = fma(q, w, splat(0.0441139825f));
  q = fma(q, w, splat(-0.00949481782f));
  q = fma(q, w, splat(-0.0907246098f));
  q = fma(q, w, splat(-0.0109662777f));
  q = fma(q, w, splat(0.225667089f));
  q = fma(q, w, splat(0.409496576f));
  q = fma(q, w, splat(0.399967402f));
  q = fma(q, w, splat(0.256044984f));
  return mul(mul(e, fma(lost, splat(-0.5f), splat(1.0f))), mul(t, q));
}

// log(1 + e^x): the larger of x and 0, and log(1 + t) for t = e^-|x| beside it, as twice the
// artanh of s = t / (2 + t) <= 1/3. At most 4 ulp. NaN stays NaN.
inline V16 softplus(V16 x) {
  const V16 t = exponential(negate(absolute(x)));
  const V16 s = div(t, add(splat(2.0f), t));
  const V16 square = mul(s, s);
  V16 q = splat(0.0666666667f);
  q = fma(q, square, splat(0.0769230769f));
  q = fma(q, square, splat(0.0909090909f));
  q = fma(q, square, splat(0.111111111f));
  q = fma(q, square, splat(0.142857143f));
  q = fma(q, square, splat(0.2f));
  q = fma(q, square, splat(0.333333333f));
  const V16 twice = add(s, s);
  const V16 log = fma(mul(twice, square), q, twice);
  return add(max_of(splat(0.0f), x), log);  // the second of a NaN
}
