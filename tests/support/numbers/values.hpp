// values.hpp - reproducible numbers like those that optimizers meet: both signs, heavy tails, zeros,
// denormals, and infinities and NaNs at known elements.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace onepass::test {

/// SplitMix64: one well-mixed number for each key.
constexpr std::uint64_t mix(std::uint64_t key) {
  key += 0x9e3779b97f4a7c15u;
  key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9u;
  key = (key ^ (key >> 27)) * 0x94d049bb133111ebu;
  return key ^ (key >> 31);
}

/// A number in [0, 1) for each key.
constexpr double uniform(std::uint64_t key) { return static_cast<double>(mix(key) >> 11) * 0x1p-53; }

/// A number of either sign for each key. One in 16 is a zero and one in 16 a denormal; the magnitudes of the
/// others are log-uniform from 2^-24 to 2^5.
inline float heavy_tailed(std::uint64_t key) {
  const float sign = (mix(key) & 1) != 0 ? -1.0f : 1.0f;
  switch ((mix(key) >> 1) % 16) {
    case 0:
      return sign * 0.0f;
    case 1:
      return sign * static_cast<float>(1 + mix(key + 1) % 0x7fffff) *
             std::numeric_limits<float>::denorm_min();
    default:
      return sign * static_cast<float>(std::exp2(29.0 * uniform(key + 2) - 24.0));
  }
}

/// 65,536 numbers from heavy_tailed(), for tests that need millions.
inline const std::vector<float>& heavy_tailed_pool() {
  static const std::vector<float> pool = [] {
    std::vector<float> drawn(65536);
    for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] = heavy_tailed(3 * i);
    return drawn;
  }();
  return pool;
}

/// Elements whose magnitudes lie between 2^low and 2^high, one in eight a zero.
inline std::vector<float> between(std::size_t numel, int low, int high, std::uint64_t seed) {
  std::vector<float> drawn(numel);
  for (std::size_t i = 0; i < numel; ++i) {
    const std::uint64_t key = mix(1000 * seed + i);
    if (key % 8 == 0) continue;
    const double exponent = low + (high - low) * uniform(key + 1);
    drawn[i] = static_cast<float>((key & 16) != 0 ? -std::exp2(exponent) : std::exp2(exponent));
  }
  return drawn;
}

/// The step (counted from 1) at which element `i` of tensor `tensor` gets a gradient that is not finite, or 0
/// if it never does. One element in 13 does, so that most of a tensor stays finite as long as a test runs.
inline std::int64_t poisoned_at(std::uint64_t tensor, std::uint64_t i, std::int64_t steps) {
  const std::uint64_t draw = mix(tensor * 0x10001 + i + 77);
  return draw % 13 == 0 ? 2 + static_cast<std::int64_t>((draw >> 8) % static_cast<std::uint64_t>(steps)) : 0;
}

/// Draws the gradient of tensor `tensor` at step `step` out of `steps`. Each tensor and each step gets other
/// numbers.
inline void draw_gradient(std::span<float> gradient, std::uint64_t tensor, std::int64_t step,
                          std::int64_t steps) {
  const std::vector<float>& pool = heavy_tailed_pool();
  const std::uint64_t start = mix((tensor << 20) + static_cast<std::uint64_t>(step));
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kPoison[] = {kInf, -kInf, std::numeric_limits<float>::quiet_NaN()};
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    gradient[i] = pool[(start + i) % pool.size()];
    if (poisoned_at(tensor, i, steps) == step) gradient[i] = kPoison[mix(i + tensor) % 3];
  }
}

/// Draws initial parameters: both signs, magnitudes up to 1, some zeros.
inline void draw_value(std::span<float> value, std::uint64_t tensor) {
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::uint64_t key = mix((tensor << 24) ^ i);
    value[i] = key % 32 == 0 ? 0.0f : static_cast<float>(2.0 * uniform(key) - 1.0);
  }
}

}  // namespace onepass::test
