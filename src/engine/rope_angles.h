// Cosines and sines for RoPE, computed in double by code of our own, so that they are the same on
// every machine and exact to float at any position (a float angle is off by 5e-4 at 8,192).
#pragma once

#include <cstddef>
#include <vector>

#include "engine/model_config.h"

namespace minerva::engine {

class RopeAngles {
 public:
  // `context`: the longest that a sequence may become; it chooses between longrope's factors.
  RopeAngles(const RopeConfig& config, std::size_t context);

  std::size_t pairs() const { return frequencies_.size(); }
  // cos and sin of every pair's angle at this position, times the magnitude: [pairs] each.
  void at(std::size_t position, float* cos, float* sin) const;

 private:
  double magnitude_;
  std::vector<double> frequencies_;
};

// sin and cos of x, |x| < 2^40, with an error below 1e-12.
void sin_cos(double x, double& sin, double& cos);

}  // namespace minerva::engine
