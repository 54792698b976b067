// convert.cpp - cvt between all scalar types, and from two floats to a packed pair.
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "instructions/handlers.hpp"
#include "instructions/rounding.hpp"

namespace cuda_emulator {
namespace {

// The 16-bit formats have their own types, so that templates can distinguish them from integers.
struct Half {
  std::uint16_t bits;
};
struct Bfloat {
  std::uint16_t bits;
};

template <class T>
constexpr bool kIsSmall = std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>;
template <class T>
constexpr bool kIsFloating = kIsSmall<T> || std::is_floating_point_v<T>;

enum ConvertMode : std::uint8_t { kIntegral = 4 };  // The two low bits hold the rounding mode.

std::uint8_t rounding_of(const Instruction& i) { return i.mode & 3; }

/// Reads a source value into a type that holds it exactly: double or a 64-bit integer.
template <class S>
auto load_source(const Instruction& i, Lane& lane) {
  if constexpr (std::is_same_v<S, Half>) {
    return static_cast<double>(half_to_float(read<std::uint16_t>(lane, i.a)));
  } else if constexpr (std::is_same_v<S, Bfloat>) {
    return static_cast<double>(bfloat_to_float(read<std::uint16_t>(lane, i.a)));
  } else if constexpr (std::is_same_v<S, float>) {
    const float value = read<float>(lane, i.a);
    return static_cast<double>((i.options & kFlush) != 0 ? flush(value) : value);
  } else if constexpr (std::is_same_v<S, double>) {
    return read<double>(lane, i.a);
  } else if constexpr (std::is_signed_v<S>) {
    return static_cast<std::int64_t>(read<S>(lane, i.a));
  } else {
    return static_cast<std::uint64_t>(read<S>(lane, i.a));
  }
}

/// Converts float to integer: rounds, then clamps to the range. NaN follows the table of the ISA.
template <class D, class S>
D to_integer(double x, std::uint8_t rounding) {
  if (std::isnan(x)) {
    const bool zero = !std::is_same_v<S, double> && sizeof(D) < 8;
    return zero ? D{0} : static_cast<D>(std::uint64_t{1} << (8 * sizeof(D) - 1));
  }
  const double rounded = round_to_integer(x, rounding);
  // The upper limit is one more than the largest integer, which a double holds exactly.
  constexpr int digits = std::numeric_limits<D>::digits;
  if (rounded >= std::ldexp(1.0, digits)) return std::numeric_limits<D>::max();
  if (rounded <= static_cast<double>(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
  return static_cast<D>(rounded);
}

template <class D, class X>
D to_float(X x, std::uint8_t rounding) {
  if (rounding == kNearest) return static_cast<D>(x);
  volatile X source = x;
  const RoundingScope scope(rounding);
  volatile D result = static_cast<D>(X{source});
  return result;
}

template <class D, class X>
void store_float(const Instruction& i, Lane& lane, X x) {
  D result = to_float<D>(x, rounding_of(i));
  if ((i.options & kFlush) != 0) result = flush(result);
  if ((i.options & kSaturate) != 0) result = saturate(result);
  if ((i.options & kRelu) != 0 && result < 0) result = 0;
  write<D>(lane, i.dst, result);
}

template <class D, class S, class X>
void store_integer(const Instruction& i, Lane& lane, X x) {
  if constexpr (kIsFloating<S>) {
    write<D>(lane, i.dst, to_integer<D, S>(x, rounding_of(i)));
  } else if ((i.options & kSaturate) != 0) {
    constexpr D low = std::numeric_limits<D>::min();
    constexpr D high = std::numeric_limits<D>::max();
    write<D>(lane, i.dst, std::cmp_less(x, low) ? low : std::cmp_greater(x, high) ? high : static_cast<D>(x));
  } else {
    write<D>(lane, i.dst, static_cast<D>(x));
  }
}

template <class D, class S>
bool run_convert(const Instruction& i, Lane& lane) {
  auto x = load_source<S>(i, lane);
  if constexpr (kIsFloating<S> && kIsFloating<D>) {
    if ((i.mode & kIntegral) != 0) x = round_to_integer(x, rounding_of(i));
  }
  if constexpr (kIsSmall<D>) {
    if ((i.options & kSaturate) != 0) x = saturate(x);
    constexpr SmallFormat format = std::is_same_v<D, Half> ? kHalfFormat : kBfloatFormat;
    write<std::uint16_t>(lane, i.dst, to_small(static_cast<double>(x), format, rounding_of(i), i.options));
  } else if constexpr (std::is_floating_point_v<D>) {
    store_float<D>(i, lane, x);
  } else {
    store_integer<D, S>(i, lane, x);
  }
  return true;
}

/// Converts f32 to bf16, rounding to nearest even. Mixed-precision kernels do this for every element, so it
/// has a short form.
bool run_to_bfloat(const Instruction& i, Lane& lane) {
  const auto bits = read<std::uint32_t>(lane, i.a);
  const bool nan = (bits & 0x7fffffff) > 0x7f800000;
  const std::uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  write<std::uint16_t>(lane, i.dst, nan ? kSmallNan : static_cast<std::uint16_t>(rounded));
  return true;
}

/// Packs a into the upper half and b into the lower half.
template <const SmallFormat& format>
bool run_pack(const Instruction& i, Lane& lane) {
  const std::uint32_t high = to_small(read<float>(lane, i.a), format, rounding_of(i), i.options);
  const std::uint32_t low = to_small(read<float>(lane, i.b), format, rounding_of(i), i.options);
  write<std::uint32_t>(lane, i.dst, high << 16 | low);
  return true;
}

template <class S>
Handler from(Type to) {
  if (to == Type::f32) return run_convert<float, S>;
  if (to == Type::f64) return run_convert<double, S>;
  // A 64-bit integer would be rounded twice on the way to a small format, so this conversion is not
  // supported.
  if constexpr (kIsFloating<S> || sizeof(S) < 8) {
    if (to == Type::f16) return run_convert<Half, S>;
    if (to == Type::bf16) return run_convert<Bfloat, S>;
  }
  return for_integer(to, []<class D>() -> Handler { return run_convert<D, S>; });
}

Handler convert(Type to, Type source) {
  if (source == Type::f16) return from<Half>(to);
  if (source == Type::bf16) return from<Bfloat>(to);
  if (source == Type::f32) return from<float>(to);
  if (source == Type::f64) return from<double>(to);
  return for_integer(source, [&]<class S>() -> Handler { return from<S>(to); });
}

Handler select(Modifiers& modifiers, Instruction& out) {
  const int integral = modifiers.take_one({"rni", "rzi", "rmi", "rpi"});
  out.mode = integral >= 0 ? static_cast<std::uint8_t>(kIntegral | integral) : take_rounding(modifiers);
  if (modifiers.take("ftz")) out.options |= kFlush;
  if (modifiers.take("sat")) out.options |= kSaturate;
  if (modifiers.take("relu")) out.options |= kRelu;
  if (modifiers.take("satfinite")) out.options |= kSatFinite;
  const Type to = modifiers.take_type();
  const Type source = modifiers.take_type();
  const bool small = to == Type::f16 || to == Type::bf16 || to == Type::f16x2 || to == Type::bf16x2;
  if (small && (rounding_of(out) == kDown || rounding_of(out) == kUp)) return nullptr;
  if (to == Type::f16x2 && source == Type::f32) return run_pack<kHalfFormat>;
  if (to == Type::bf16x2 && source == Type::f32) return run_pack<kBfloatFormat>;
  if (to == Type::bf16 && source == Type::f32 && out.mode == kNearest && out.options == 0)
    return run_to_bfloat;
  return convert(to, source);
}

}  // namespace

bool select_convert(Selection& selection) {
  if (selection.opcode != "cvt") return false;
  selection.out.run = select(selection.modifiers, selection.out);
  return selection.out.run != nullptr;
}

}  // namespace cuda_emulator
