// rounding.hpp - PTX rounding modes, flush to zero, and the small floating-point formats.
#pragma once

#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "decode/selection.hpp"

namespace cuda_emulator {

enum Rounding : std::uint8_t { kNearest, kTowardZero, kDown, kUp };

/// The floating-point environment's name of a mode.
constexpr int environment_mode(std::uint8_t rounding) {
  constexpr int kModes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  return kModes[rounding];
}

/// Sets the rounding mode for the lifetime of the object. Operands must be read through volatile
/// variables: the compiler does not know that arithmetic depends on the mode.
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
inline double flush(double x) { return x; }  // .ftz exists for f32 only, but for rcp.approx.ftz.f64.

/// Clamps to [0, 1]; NaN becomes +0.
template <class T>
T saturate(T x) {
  return x > T{0} ? (x < T{1} ? x : T{1}) : T{0};
}

/// Rounds to an integral value.
double round_to_integer(double x, std::uint8_t rounding);

struct SmallFormat {
  int precision;     ///< Bits of the significand, the hidden one included.
  int max_exponent;  ///< Of the largest finite number, as in 1.x * 2^e.
};
constexpr SmallFormat kHalfFormat{11, 15};
constexpr SmallFormat kBfloatFormat{8, 127};
constexpr std::uint16_t kSmallNan = 0x7fff;  ///< What PTX produces for a NaN, in both formats.

/// Rounds once, from the exact double, to nearest even or toward zero.
std::uint16_t to_small(double x, SmallFormat format, std::uint8_t rounding, std::uint8_t options);
float half_to_float(std::uint16_t bits);
float bfloat_to_float(std::uint16_t bits);

/// a * b + c for operands with short significands, in a double whose last bit says whether anything was
/// lost (round to odd): rounding it again to a small format is then as good as rounding once.
double fma_to_odd(double a, double b, double c);

/// Takes rn, rz, rm or rp; kNearest without one.
std::uint8_t take_rounding(Modifiers& modifiers);

}  // namespace cuda_emulator
