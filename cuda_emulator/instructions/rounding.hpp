// rounding.hpp - the PTX rounding modes, flush to zero, and the small floating-point formats.
#pragma once

#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "decode/selection.hpp"

namespace cuda_emulator {

enum Rounding : std::uint8_t { kNearest, kTowardZero, kDown, kUp };

/// Returns the mode's value in the C floating-point environment.
constexpr int environment_mode(std::uint8_t rounding) {
  constexpr int kModes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  return kModes[rounding];
}

/// Sets the rounding mode for the lifetime of the object. Read operands through volatile variables, because
/// the compiler does not know that arithmetic depends on the mode.
class RoundingScope {
 public:
  explicit RoundingScope(std::uint8_t rounding) : before_(std::fegetround()) {
    std::fesetround(environment_mode(rounding));
  }
  ~RoundingScope() { std::fesetround(before_); }
  RoundingScope(const RoundingScope&) = delete;
  RoundingScope& operator=(const RoundingScope&) = delete;

 private:
  int before_;
};

enum FloatOption : std::uint8_t { kFlush = 1, kSaturate = 2, kPropagateNan = 4, kRelu = 8, kSatFinite = 16 };

inline float flush(float x) {
  return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x;
}
inline double flush(double x) { return x; }  // .ftz exists only for f32, except for rcp.approx.ftz.f64.

/// Clamps to [0, 1]; NaN becomes +0.
template <class T>
T saturate(T x) {
  return x > T{0} ? (x < T{1} ? x : T{1}) : T{0};
}

/// Rounds to an integral value.
double round_to_integer(double x, std::uint8_t rounding);

struct SmallFormat {
  int precision;     ///< Bits of the significand, including the hidden bit.
  int max_exponent;  ///< Exponent e of the largest finite number, 1.x * 2^e.
};
constexpr SmallFormat kHalfFormat{11, 15};
constexpr SmallFormat kBfloatFormat{8, 127};
constexpr std::uint16_t kSmallNan = 0x7fff;  ///< The NaN that PTX produces in both formats.

/// Rounds an exact double once, to nearest even or toward zero.
std::uint16_t to_small(double x, SmallFormat format, std::uint8_t rounding, std::uint8_t options);
float half_to_float(std::uint16_t bits);
float bfloat_to_float(std::uint16_t bits);

/// Computes a * b + c for operands with short significands and rounds it to odd: the last bit of the double
/// says whether anything was lost. Rounding the result to a small format then equals rounding once.
double fma_to_odd(double a, double b, double c);

/// Takes rn, rz, rm or rp. Returns kNearest if none is given.
std::uint8_t take_rounding(Modifiers& modifiers);

}  // namespace cuda_emulator
