// plain_rules.hpp - the rules written by hand. Results are checked against them, and the scalar baseline runs
// them. They use nothing of the library's rules.
#pragma once

#include <cstddef>

// Compiled for several instruction sets: every function is inlined, so that no symbol is shared between them.
#define BENCH_INLINE inline __attribute__((always_inline))

namespace onepass::bench::plain {

/// The hyperparameters of all benchmarks; cases/rules.cpp gives the library's rules the same values.
inline constexpr double kLr = 1e-3, kMomentum = 0.9, kAlpha = 0.99, kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8,
                        kDecay = 1e-2;
inline constexpr int kMaxStates = 3;

/// The coefficients of one step, computed in double and rounded once.
struct Numbers {
  float lr;  ///< For Adam: lr / (1 - beta1^t).
  float momentum;
  float first;   ///< Weight of the new value in the first average: 1 - beta1 or 1 - alpha.
  float second;  ///< 1 - beta2
  float root;    ///< 1 / sqrt(1 - beta2^t)
  float eps;
  float decay;  ///< lr * weight decay
  bool starts;  ///< True in the first step.
};

/// Coefficients of step `t`, counted from 1.
Numbers sgd_numbers(int t);
Numbers rmsprop_numbers(int t);
Numbers adam_numbers(int t);

BENCH_INLINE float average(float old, float now, float share) {
  return __builtin_fmaf(share, now, __builtin_fmaf(-share, old, old));
}

struct Sgd {
  static constexpr int kStates = 0;
  static constexpr auto kNumbers = sgd_numbers;
  static BENCH_INLINE void move(const Numbers& k, float& p, float g, float*) { p = p - k.lr * g; }
};

struct Momentum {
  static constexpr int kStates = 1;
  static constexpr auto kNumbers = sgd_numbers;
  static BENCH_INLINE void move(const Numbers& k, float& p, float g, float* s) {
    s[0] = k.starts ? g : __builtin_fmaf(k.momentum, s[0], g);
    p = p - k.lr * s[0];
  }
};

struct RmsProp {
  static constexpr int kStates = 1;
  static constexpr auto kNumbers = rmsprop_numbers;
  static BENCH_INLINE void move(const Numbers& k, float& p, float g, float* s) {
    s[0] = average(s[0], g * g, k.first);
    p = p - k.lr * (g / __builtin_sqrtf(s[0] + k.eps));
  }
};

struct Centered {
  static constexpr int kStates = 2;
  static constexpr auto kNumbers = rmsprop_numbers;
  static BENCH_INLINE void move(const Numbers& k, float& p, float g, float* s) {
    s[0] = average(s[0], g * g, k.first);
    s[1] = average(s[1], g, k.first);
    const float variance = __builtin_fmaf(-s[1], s[1], s[0]);
    p = p - k.lr * (g / __builtin_sqrtf((variance > 0.0f ? variance : 0.0f) + k.eps));
  }
};

BENCH_INLINE float adam_step(const Numbers& k, float m, float v) {
  return k.lr * (m / __builtin_fmaf(__builtin_sqrtf(v), k.root, k.eps));
}

struct Adam {
  static constexpr int kStates = 2;
  static constexpr auto kNumbers = adam_numbers;
  static BENCH_INLINE void move(const Numbers& k, float& p, float g, float* s) {
    s[0] = average(s[0], g, k.first);
    s[1] = average(s[1], g * g, k.second);
    p = p - adam_step(k, s[0], s[1]);
  }
};

struct AmsGrad {
  static constexpr int kStates = 3;
  static constexpr auto kNumbers = adam_numbers;
  static BENCH_INLINE void move(const Numbers& k, float& p, float g, float* s) {
    s[0] = average(s[0], g, k.first);
    s[1] = average(s[1], g * g, k.second);
    s[2] = s[2] > s[1] ? s[2] : s[1];
    p = p - adam_step(k, s[0], s[2]);
  }
};

struct AdamW {
  static constexpr int kStates = 2;
  static constexpr auto kNumbers = adam_numbers;
  static BENCH_INLINE void move(const Numbers& k, float& p, float g, float* s) {
    s[0] = average(s[0], g, k.first);
    s[1] = average(s[1], g * g, k.second);
    p = p - __builtin_fmaf(k.decay, p, adam_step(k, s[0], s[1]));
  }
};

}  // namespace onepass::bench::plain
