#include "engine/rope_angles.h"

#include <cmath>

namespace minerva::engine {

void sin_cos(double x, double& sin, double& cos) {
  // x = k * pi/2 + r with |r| <= pi/4. pi/2 in three parts of 33 bits each, so that k * part is
  // exact for k < 2^20 (Cody and Waite); the rest is beyond double.
  constexpr double kTwoOverPi = 0.63661977236758134308;
  constexpr double kPart1 = 0x1.921fb544p+0;
  constexpr double kPart2 = 0x1.0b4611a6p-34;
  constexpr double kPart3 = 0x1.3198a2e037073p-69;
  const double k = std::nearbyint(x * kTwoOverPi);
  const double r = ((x - k * kPart1) - k * kPart2) - k * kPart3;
  const double r2 = r * r;
  // Taylor series to r^17 and r^16: the first term left out is below 3e-16 at pi/4.
  double s = 1.0 / 355687428096000.0;
  double c = 1.0 / 20922789888000.0;
  s = s * r2 - 1.0 / 1307674368000.0;
  c = c * r2 - 1.0 / 87178291200.0;
  s = s * r2 + 1.0 / 6227020800.0;
  c = c * r2 + 1.0 / 479001600.0;
  s = s * r2 - 1.0 / 39916800.0;
  c = c * r2 - 1.0 / 3628800.0;
  s = s * r2 + 1.0 / 362880.0;
  c = c * r2 + 1.0 / 40320.0;
  s = s * r2 - 1.0 / 5040.0;
  c = c * r2 - 1.0 / 720.0;
  s = s * r2 + 1.0 / 120.0;
  c = c * r2 + 1.0 / 24.0;
  s = s * r2 - 1.0 / 6.0;
  c = c * r2 - 0.5;
  s = r + r * (r2 * s);
  c = 1.0 + r2 * c;
  switch (static_cast<long long>(k) & 3) {
    case 0:
      sin = s, cos = c;
      break;
    case 1:
      sin = c, cos = -s;
      break;
    case 2:
      sin = -s, cos = -c;
      break;
    default:
      sin = -c, cos = s;
      break;
  }
}

RopeAngles::RopeAngles(const RopeConfig& config) : frequencies_(config.n_rot / 2) {
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(config.n_rot);
    frequencies_[i] = config.frequency_scale * std::pow(config.base, exponent);
    if (!config.factors.empty()) frequencies_[i] /= static_cast<double>(config.factors[i]);
  }
}

void RopeAngles::at(std::size_t position, float* cos, float* sin) const {
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    double s = 0;
    double c = 0;
    sin_cos(static_cast<double>(position) * frequencies_[i], s, c);
    cos[i] = static_cast<float>(c);
    sin[i] = static_cast<float>(s);
  }
}

}  // namespace minerva::engine
