// loops_impl.hpp - the loops of the baselines. Compiled once for each instruction set: the passes are
// vectorised like the library's loops, the scalar loops are not.
#pragma once

#include "bench/baselines/loops.hpp"

// Internal linkage, because the builds for different instruction sets must not share a symbol.
namespace onepass::bench {
namespace {

template <class Rule>
void scalar_loop(const plain::Numbers& numbers, const FloatStreams& streams, std::int64_t count) {
  const plain::Numbers k = numbers;
  const FloatStreams at = streams;
  for (std::int64_t i = 0; i < count; ++i) {
    float states[plain::kMaxStates];
    for (int s = 0; s < Rule::kStates; ++s) states[s] = at.states[s][i];
    Rule::move(k, at.param[i], at.grad[i], states);
    for (int s = 0; s < Rule::kStates; ++s) at.states[s][i] = states[s];
    __asm__ volatile("");  // keeps the compiler from vectorising the loop
  }
}

void add_squares(float* __restrict sum, const float* __restrict x, float weight, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] += weight * (x[i] * x[i]);
}

void maximum(float* __restrict largest, const float* __restrict x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) largest[i] = largest[i] > x[i] ? largest[i] : x[i];
}

void over_root(float* __restrict to, const float* __restrict above, const float* __restrict x, float eps,
               std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = above[i] / __builtin_sqrtf(x[i] + eps);
}

void over_deviation(float* __restrict to, const float* __restrict above, const float* __restrict x,
                    const float* __restrict mean, float eps, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float variance = x[i] - mean[i] * mean[i];
    to[i] = above[i] / __builtin_sqrtf((variance > 0.0f ? variance : 0.0f) + eps);
  }
}

void roots(float* __restrict to, const float* __restrict x, float factor, float eps, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = __builtin_sqrtf(x[i]) * factor + eps;
}

void quotient(float* __restrict below, const float* __restrict above, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) below[i] = above[i] / below[i];
}

constexpr ScalarLoop kScalar[] = {scalar_loop<plain::Sgd>,     scalar_loop<plain::Momentum>,
                                  scalar_loop<plain::RmsProp>, scalar_loop<plain::Centered>,
                                  scalar_loop<plain::Adam>,    scalar_loop<plain::AmsGrad>,
                                  scalar_loop<plain::AdamW>};
constexpr Passes kPasses{add_squares, maximum, over_root, over_deviation, roots, quotient};

}  // namespace
}  // namespace onepass::bench
