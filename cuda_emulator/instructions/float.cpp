// float.cpp - arithmetic in single and double precision.
#include <cmath>

#include "instructions/handlers.hpp"
#include "instructions/rounding.hpp"

namespace cuda_emulator {
namespace {

constexpr auto kAdd = [](auto x, auto y, auto) { return x + y; };
constexpr auto kSubtract = [](auto x, auto y, auto) { return x - y; };
constexpr auto kMultiply = [](auto x, auto y, auto) { return x * y; };
constexpr auto kDivide = [](auto x, auto y, auto) { return x / y; };
constexpr auto kFma = [](auto x, auto y, auto z) { return std::fma(x, y, z); };
constexpr auto kSquareRoot = [](auto x, auto, auto) { return std::sqrt(x); };
constexpr auto kReciprocal = []<class T>(T x, T, T) { return T{1} / x; };

/// Rounds to nearest, without options. Nearly all instructions use this form.
template <class T, auto operation>
bool run_plain(const Instruction& i, Lane& lane) {
  write<T>(lane, i.dst, operation(read<T>(lane, i.a), read<T>(lane, i.b), read<T>(lane, i.c)));
  return true;
}

template <class T, auto operation>
bool run_general(const Instruction& i, Lane& lane) {
  const auto input = [&](Slot slot) {
    const T value = read<T>(lane, slot);
    return (i.options & kFlush) != 0 ? flush(value) : value;
  };
  volatile T a = input(i.a);
  volatile T b = input(i.b);
  volatile T c = input(i.c);
  volatile T result;
  {
    const RoundingScope scope(i.mode);
    result = operation(T{a}, T{b}, T{c});
  }
  T value = result;
  if ((i.options & kFlush) != 0) value = flush(value);
  if ((i.options & kSaturate) != 0) value = saturate(value);
  write<T>(lane, i.dst, value);
  return true;
}

template <auto operation>
Handler arithmetic(Selection& selection) {
  Modifiers& modifiers = selection.modifiers;
  Instruction& out = selection.out;
  out.mode = take_rounding(modifiers);
  // Results that are approximate on a device are rounded correctly here. The ISA only bounds their error.
  modifiers.drop({"approx", "full"});
  if (modifiers.take("ftz")) out.options |= kFlush;
  if (modifiers.take("sat")) out.options |= kSaturate;
  const Type type = modifiers.take_type();
  const bool plain = out.mode == kNearest && out.options == 0;
  if (type == Type::f32) return plain ? run_plain<float, operation> : run_general<float, operation>;
  if (type == Type::f64) return plain ? run_plain<double, operation> : run_general<double, operation>;
  return nullptr;
}

// Drops a NaN operand unless .NaN is given. Treats -0 as less than +0.
template <class T, bool maximum>
bool run_extremum(const Instruction& i, Lane& lane) {
  T x = read<T>(lane, i.a);
  T y = read<T>(lane, i.b);
  if ((i.options & kFlush) != 0) {
    x = flush(x);
    y = flush(y);
  }
  T result;
  if (std::isnan(x) || std::isnan(y)) {
    const bool keep = (i.options & kPropagateNan) != 0 || (std::isnan(x) && std::isnan(y));
    result = keep ? std::numeric_limits<T>::quiet_NaN() : std::isnan(x) ? y : x;
  } else if (x == y) {
    result = std::signbit(x) == maximum ? y : x;
  } else {
    result = (x < y) == maximum ? y : x;
  }
  write<T>(lane, i.dst, result);
  return true;
}

template <bool maximum>
Handler extremum(Selection& selection) {
  if (selection.modifiers.take("ftz")) selection.out.options |= kFlush;
  if (selection.modifiers.take("NaN")) selection.out.options |= kPropagateNan;
  const Type type = selection.modifiers.take_type();
  if (type == Type::f32) return run_extremum<float, maximum>;
  if (type == Type::f64) return run_extremum<double, maximum>;
  return nullptr;
}

// The sign operations work on the bits, so that a NaN keeps its payload.
constexpr auto kNegate = []<class T>(T x) { return static_cast<T>(x ^ (T{1} << (8 * sizeof(T) - 1))); };
constexpr auto kAbsolute = []<class T>(T x) { return static_cast<T>(x & ~(T{1} << (8 * sizeof(T) - 1))); };
/// Combines the sign of the first operand with the magnitude of the second. C has the opposite order.
constexpr auto kCopySign = []<class T>(T sign, T magnitude) {
  const T top = T{1} << (8 * sizeof(T) - 1);
  return static_cast<T>((sign & top) | (magnitude & ~top));
};

template <auto operation>
Handler sign_operation(Selection& selection) {
  if (selection.modifiers.take("ftz")) return nullptr;
  const Type type = selection.modifiers.take_type();
  if (type == Type::f32) return run_unary<std::uint32_t, operation>;
  if (type == Type::f64) return run_unary<std::uint64_t, operation>;
  return nullptr;
}

Handler copy_sign(Selection& selection) {
  const Type type = selection.modifiers.take_type();
  if (type == Type::f32) return run_binary<std::uint32_t, kCopySign>;
  if (type == Type::f64) return run_binary<std::uint64_t, kCopySign>;
  return nullptr;
}

/// Tests the class of a number: NaN, infinity and so on.
template <class T, int which>
bool run_test(const Instruction& i, Lane& lane) {
  const T x = read<T>(lane, i.a);
  constexpr auto normal = std::numeric_limits<T>::min();
  bool answer = false;
  if (which == 0) answer = std::isfinite(x);
  if (which == 1) answer = std::isinf(x);
  if (which == 2) answer = !std::isnan(x);
  if (which == 3) answer = std::isnan(x);
  if (which == 4) answer = std::isfinite(x) && std::fabs(x) >= normal;
  if (which == 5) answer = std::fabs(x) < normal && x != 0;
  write<std::uint8_t>(lane, i.dst, answer);
  return true;
}

template <class T>
Handler test_of(int which) {
  constexpr Handler kHandlers[] = {run_test<T, 0>, run_test<T, 1>, run_test<T, 2>,
                                   run_test<T, 3>, run_test<T, 4>, run_test<T, 5>};
  return which < 0 ? nullptr : kHandlers[which];
}

Handler test(Selection& selection) {
  const int which =
      selection.modifiers.take_one({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  return selection.modifiers.take_type() == Type::f32 ? test_of<float>(which) : test_of<double>(which);
}

Handler select(Selection& selection) {
  const std::string_view opcode = selection.opcode;
  if (opcode == "add") return arithmetic<kAdd>(selection);
  if (opcode == "sub") return arithmetic<kSubtract>(selection);
  if (opcode == "mul") return arithmetic<kMultiply>(selection);
  if (opcode == "fma" || opcode == "mad") return arithmetic<kFma>(selection);
  if (opcode == "div") return arithmetic<kDivide>(selection);
  if (opcode == "min") return extremum<false>(selection);
  if (opcode == "max") return extremum<true>(selection);
  if (opcode == "neg") return sign_operation<kNegate>(selection);
  if (opcode == "abs") return sign_operation<kAbsolute>(selection);
  if (opcode == "sqrt") return arithmetic<kSquareRoot>(selection);
  if (opcode == "rcp") return arithmetic<kReciprocal>(selection);
  if (opcode == "copysign") return copy_sign(selection);
  if (opcode == "testp") return test(selection);
  return nullptr;
}

}  // namespace

bool select_float(Selection& selection) {
  const Modifiers before = selection.modifiers;
  const Instruction untouched = selection.out;
  selection.out.run = select(selection);
  if (selection.out.run != nullptr) return true;
  selection.modifiers = before;
  selection.out = untouched;
  return false;
}

}  // namespace cuda_emulator
