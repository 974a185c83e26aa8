#include "engine/rope_angles.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

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

namespace {

// The pair that turns so often in YaRN's original context; a real number, and maybe no pair at all.
double pair_of(double turns, const RopeConfig& rope, const YarnConfig& yarn) {
  return static_cast<double>(rope.n_rot) *
         std::log(yarn.original_context / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(rope.base));
}

void apply_yarn(const RopeConfig& rope, const YarnConfig& yarn, std::span<double> frequencies) {
  double low = pair_of(yarn.beta_fast, rope, yarn);
  double high = pair_of(yarn.beta_slow, rope, yarn);
  if (yarn.whole_pairs) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.n_rot - 1));
  const double length = std::max(high - low, 0.001);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double interpolated = std::clamp((static_cast<double>(i) - low) / length, 0.0, 1.0);
    frequencies[i] *= 1 - interpolated + interpolated / yarn.factor;
  }
}

}  // namespace

RopeAngles::RopeAngles(const RopeConfig& config, std::size_t context)
    : magnitude_(config.magnitude), frequencies_(config.n_rot / 2) {
  const bool is_long = !config.long_factors.empty() && context > config.original_context;
  const std::vector<float>& factors = is_long ? config.long_factors : config.factors;
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(config.n_rot);
    frequencies_[i] = config.frequency_scale * std::pow(config.base, exponent);
    if (!factors.empty()) frequencies_[i] /= static_cast<double>(factors[i]);
  }
  if (config.yarn) apply_yarn(config, *config.yarn, frequencies_);
}

void RopeAngles::at(std::size_t position, float* cos, float* sin) const {
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    double s = 0;
    double c = 0;
    sin_cos(static_cast<double>(position) * frequencies_[i], s, c);
    cos[i] = static_cast<float>(magnitude_ * c);
    sin[i] = static_cast<float>(magnitude_ * s);
  }
}

}  // namespace minerva::engine
