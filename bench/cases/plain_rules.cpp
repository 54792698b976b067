// plain_rules.cpp - the coefficients of the hand-written rules.
#include "bench/cases/plain_rules.hpp"

#include <cmath>

namespace onepass::bench::plain {
namespace {

/// Returns base^t by repeated multiplication, because libm's pow may be off by a bit.
double power(double base, int t) {
  double product = 1.0;
  for (int i = 0; i < t; ++i) product *= base;
  return product;
}

}  // namespace

Numbers sgd_numbers(int t) {
  Numbers k{};
  k.lr = static_cast<float>(kLr);
  k.momentum = static_cast<float>(kMomentum);
  k.starts = t == 1;
  return k;
}

Numbers rmsprop_numbers(int t) {
  Numbers k{};
  k.lr = static_cast<float>(kLr);
  k.first = static_cast<float>(1.0 - kAlpha);
  k.eps = static_cast<float>(kEps);
  k.starts = t == 1;
  return k;
}

Numbers adam_numbers(int t) {
  Numbers k{};
  k.lr = static_cast<float>(kLr / (1.0 - power(kBeta1, t)));
  k.first = static_cast<float>(1.0 - kBeta1);
  k.second = static_cast<float>(1.0 - kBeta2);
  k.root = static_cast<float>(1.0 / std::sqrt(1.0 - power(kBeta2, t)));
  k.eps = static_cast<float>(kEps);
  k.decay = static_cast<float>(kLr * kDecay);
  k.starts = t == 1;
  return k;
}

}  // namespace onepass::bench::plain
