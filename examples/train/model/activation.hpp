// activation.hpp - the activation functions and their gradients, in one source for the CPU and the GPU.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

#include "onepass/arithmetic/lane.hpp"

namespace train {

enum class Activation : std::uint8_t { none, relu, tanh, sigmoid };

/// An activation and its name on the command line.
struct ActivationKind {
  std::string_view name;
  std::string_view formula;
  Activation activation;
};

/// The activations that may follow a hidden layer, in the order of --help.
inline constexpr std::array kActivations{
    ActivationKind{"relu", "max(x, 0)", Activation::relu},
    ActivationKind{"tanh", "tanh(x)", Activation::tanh},
    ActivationKind{"sigmoid", "1 / (1 + exp(-x))", Activation::sigmoid},
};

/// These functions use only + - * / in double and round once at the end, so both devices give the same bits.
namespace activation {

ONEPASS_LANE double from_bits(std::int64_t bits) {
#ifdef __CUDA_ARCH__
  return ::__longlong_as_double(bits);
#else
  return std::bit_cast<double>(bits);
#endif
}

ONEPASS_LANE std::int64_t to_bits(double value) {
#ifdef __CUDA_ARCH__
  return ::__double_as_longlong(value);
#else
  return std::bit_cast<std::int64_t>(value);
#endif
}

/// Returns exp(x) for x <= 0 with an error of at most 2e-15. Returns exp(-700) for x below -700, where a
/// float would be 0. NaN stays NaN. Method: x = k ln 2 + r with |r| <= ln 2 / 2. The Taylor polynomial gives
/// exp(r) with a remainder below 0.35^13 / 13! = 2e-16; it is unrolled so that loops around it vectorise. The
/// exponent bits give 2^k.
ONEPASS_LANE double exp_of_negative(double x) {
  constexpr double kLog2E = 0x1.71547652b82fep+0;
  constexpr double kLn2High = 0x1.62e42fee00000p-1;  // 33 bits, so that k times it is exact
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kRounder = 0x1.8p+52;  // after adding it the lowest bits hold k
  x = x < -700.0 ? -700.0 : x;
  const double rounded = x * kLog2E + kRounder;
  const double k = rounded - kRounder;
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double sum = 1.0 / 479001600 * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1.0;
  sum = sum * r + 1.0;
  // Unsigned, because the bits of a NaN may be shifted out. A NaN in `sum` stays NaN whatever the factor.
  const auto exponent = static_cast<std::uint64_t>(to_bits(rounded)) + 1023u;
  return sum * from_bits(static_cast<std::int64_t>(exponent << 52));
}

/// Returns max(x, 0). NaN stays NaN.
ONEPASS_LANE float relu(float x) { return x < 0.0f ? 0.0f : x; }

/// Returns tanh(x) within 0.51 ulp. For small x it returns x, because x^3 / 3 is less than half an ulp of x.
ONEPASS_LANE float tanh(float x) {
  const double size = x < 0.0f ? -static_cast<double>(x) : static_cast<double>(x);
  const double e = exp_of_negative(-2.0 * size);
  const auto value = static_cast<float>((1.0 - e) / (1.0 + e));
  return size < 0x1p-12 ? x : (x < 0.0f ? -value : value);
}

/// Returns 1 / (1 + exp(-x)) within 0.51 ulp in both tails: exp_of_negative() is only called for x <= 0.
ONEPASS_LANE float sigmoid(float x) {
  const double size = x < 0.0f ? -static_cast<double>(x) : static_cast<double>(x);
  const double e = exp_of_negative(-size);
  return static_cast<float>((x < 0.0f ? e : 1.0) / (1.0 + e));
}

template <Activation kActivation>
ONEPASS_LANE float forward(float x) {
  if constexpr (kActivation == Activation::relu) return relu(x);
  if constexpr (kActivation == Activation::tanh) return tanh(x);
  if constexpr (kActivation == Activation::sigmoid) return sigmoid(x);
  return x;
}

/// Returns the gradient with respect to x, given the gradient `delta` with respect to y = forward(x), and y.
template <Activation kActivation>
ONEPASS_LANE float backward(float delta, float y) {
  if constexpr (kActivation == Activation::relu) return y == 0.0f ? 0.0f : delta;
  if constexpr (kActivation == Activation::tanh) return delta * ((1.0f - y) * (1.0f + y));
  if constexpr (kActivation == Activation::sigmoid) return delta * (y * (1.0f - y));
  return delta;
}

}  // namespace activation

/// Calls `work` with the activation as a compile-time constant.
template <class Work>
void with_activation(Activation activation, Work&& work) {
  using enum Activation;
  switch (activation) {
    case none:
      return work.template operator()<none>();
    case relu:
      return work.template operator()<relu>();
    case tanh:
      return work.template operator()<tanh>();
    case sigmoid:
      return work.template operator()<sigmoid>();
  }
}

}  // namespace train
