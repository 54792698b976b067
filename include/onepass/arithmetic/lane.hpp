// lane.hpp - the arithmetic operations that rules are written in; every backend computes the same bits.
#pragma once

/// Marks functions that g++ and nvcc both compile, for the host and for the device. They are always inlined:
/// the library compiles them for several instruction sets, and the linker would otherwise keep one of the
/// copies for all of them.
#ifdef __CUDACC__
#define ONEPASS_LANE __host__ __device__ __forceinline__
#else
#define ONEPASS_LANE inline __attribute__((always_inline))
#endif

/// Operations on the float (or double) in one lane.
///
/// Each is one correctly rounded IEEE operation or a fixed sequence of them. Fused multiply-adds are written
/// as fma(), so no compiler finds a product followed by a sum that it could contract.
namespace onepass::lane {

/// Returns a * b + c, rounded once.
ONEPASS_LANE float fma(float a, float b, float c) {
#ifdef __CUDA_ARCH__
  return ::fmaf(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

ONEPASS_LANE double fma(double a, double b, double c) {
#ifdef __CUDA_ARCH__
  return ::fma(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}

/// Returns the square root, correctly rounded.
ONEPASS_LANE float sqrt(float x) {
#ifdef __CUDA_ARCH__
  return ::sqrtf(x);
#else
  return __builtin_sqrtf(x);
#endif
}

ONEPASS_LANE double sqrt(double x) {
#ifdef __CUDA_ARCH__
  return ::sqrt(x);
#else
  return __builtin_sqrt(x);
#endif
}

/// Returns (1 - t) * a + t * b. Only t is rounded, so the two weights add up to exactly one and an average
/// with a constant b converges to b. If 1 - t were rounded separately, an average over 1,000 steps would
/// settle 1e-5 away from b.
ONEPASS_LANE float lerp(float a, float b, float t) { return fma(t, b, fma(-t, a, a)); }

/// A condition that holds for a whole tensor: 0 or 1, as wide as a float. Use it instead of `bool` for
/// coefficients: GCC 12 does not vectorise a loop that selects by a `bool`.
using Flag = unsigned;

/// Returns a if the flag is set, else b. Takes values because `?:` on references selects an address.
ONEPASS_LANE float select(Flag flag, float a, float b) { return flag != 0 ? a : b; }

/// Returns the larger number, or NaN if either is NaN (std::fmax would drop the NaN).
ONEPASS_LANE float max(float a, float b) { return (a > b) | (a != a) ? a : b; }
ONEPASS_LANE double max(double a, double b) { return (a > b) | (a != a) ? a : b; }

/// Returns the magnitude of x.
ONEPASS_LANE float abs(float x) { return __builtin_fabsf(x); }
ONEPASS_LANE double abs(double x) { return __builtin_fabs(x); }

/// Returns the magnitude of the first argument with the sign of the second.
ONEPASS_LANE float copysign(float magnitude, float sign) { return __builtin_copysignf(magnitude, sign); }

/// Returns x, or low if x is below it. NaN stays NaN.
ONEPASS_LANE float at_least(float low, float x) { return low > x ? low : x; }
/// Returns x limited to [-limit, limit]. NaN stays NaN.
ONEPASS_LANE float clamp(float x, float limit) { return at_least(-limit, limit < x ? limit : x); }

/// Returns sign(x) * size with sign(0) = 0. Returns x itself if it is NaN, because the sign of a NaN differs
/// between machines.
ONEPASS_LANE float with_sign_of(float x, float size) { return x > 0.0f ? size : x < 0.0f ? -size : x; }

/// Returns base^exponent for a whole number exponent >= 0, by repeated squaring. It multiplies only, so host
/// and device agree to the last bit. The relative error is below exponent * 2^-53, because each squaring
/// doubles the error so far.
ONEPASS_LANE double power(double base, long long exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace onepass::lane
