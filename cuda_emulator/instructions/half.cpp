// half.cpp - arithmetic on f16 and bf16, and on pairs of them.
#include <cmath>

#include "instructions/handlers.hpp"
#include "instructions/rounding.hpp"

namespace cuda_emulator {
namespace {

struct Half {
  static constexpr SmallFormat kFormat = kHalfFormat;
  static double widen(std::uint16_t bits) { return half_to_float(bits); }
};
struct Bfloat {
  static constexpr SmallFormat kFormat = kBfloatFormat;
  static double widen(std::uint16_t bits) { return bfloat_to_float(bits); }
};

enum class Operation : std::uint8_t { add, subtract, multiply, fma, minimum, maximum, negate, absolute };

double extremum(double x, double y, bool maximum, bool propagate) {
  if (std::isnan(x) || std::isnan(y)) {
    if (propagate || (std::isnan(x) && std::isnan(y))) return std::numeric_limits<double>::quiet_NaN();
    return std::isnan(x) ? y : x;
  }
  if (x == y) return std::signbit(x) == maximum ? y : x;
  return (x < y) == maximum ? y : x;
}

template <class Format>
std::uint16_t compute(const Instruction& i, std::uint16_t a, std::uint16_t b, std::uint16_t c) {
  const double x = Format::widen(a);
  const double y = Format::widen(b);
  double exact = 0;
  switch (static_cast<Operation>(i.mode)) {
    case Operation::negate:
      return a ^ 0x8000;
    case Operation::absolute:
      return a & 0x7fff;
    case Operation::add:
      exact = fma_to_odd(x, 1.0, y);
      break;
    case Operation::subtract:
      exact = fma_to_odd(x, 1.0, -y);
      break;
    case Operation::multiply:
      exact = x * y;
      break;
    case Operation::fma:
      exact = fma_to_odd(x, y, Format::widen(c));
      break;
    case Operation::minimum:
      exact = extremum(x, y, false, (i.options & kPropagateNan) != 0);
      break;
    case Operation::maximum:
      exact = extremum(x, y, true, (i.options & kPropagateNan) != 0);
      break;
  }
  if ((i.options & kSaturate) != 0) exact = saturate(exact);
  return to_small(exact, Format::kFormat, kNearest, i.options);
}

template <class Format>
bool run_one(const Instruction& i, Lane& lane) {
  write<std::uint16_t>(lane, i.dst,
                       compute<Format>(i, read<std::uint16_t>(lane, i.a), read<std::uint16_t>(lane, i.b),
                                       read<std::uint16_t>(lane, i.c)));
  return true;
}

template <class Format>
bool run_pair(const Instruction& i, Lane& lane) {
  const auto a = read<std::uint32_t>(lane, i.a);
  const auto b = read<std::uint32_t>(lane, i.b);
  const auto c = read<std::uint32_t>(lane, i.c);
  const auto half = [](std::uint32_t pair, int which) {
    return static_cast<std::uint16_t>(pair >> (16 * which));
  };
  const std::uint32_t low = compute<Format>(i, half(a, 0), half(b, 0), half(c, 0));
  const std::uint32_t high = compute<Format>(i, half(a, 1), half(b, 1), half(c, 1));
  write<std::uint32_t>(lane, i.dst, high << 16 | low);
  return true;
}

int operation_of(std::string_view opcode) {
  constexpr std::string_view kNames[] = {"add", "sub", "mul", "fma", "min", "max", "neg", "abs"};
  for (int k = 0; k < 8; ++k) {
    if (kNames[k] == opcode) return k;
  }
  return -1;
}

Handler handler_of(Type type) {
  switch (type) {
    case Type::f16:
      return run_one<Half>;
    case Type::bf16:
      return run_one<Bfloat>;
    case Type::f16x2:
      return run_pair<Half>;
    case Type::bf16x2:
      return run_pair<Bfloat>;
    default:
      return nullptr;
  }
}

}  // namespace

bool select_half(Selection& selection) {
  const int operation = operation_of(selection.opcode);
  if (operation < 0) return false;
  Modifiers modifiers = selection.modifiers;
  std::uint8_t options = 0;
  modifiers.take("rn");
  if (modifiers.take("sat")) options |= kSaturate;
  if (modifiers.take("NaN")) options |= kPropagateNan;
  if (modifiers.take("relu")) options |= kRelu;
  const Handler handler = handler_of(modifiers.take_type());
  if (handler == nullptr) return false;
  selection.modifiers = modifiers;
  selection.out.run = handler;
  selection.out.mode = static_cast<std::uint8_t>(operation);
  selection.out.options = options;
  return true;
}

}  // namespace cuda_emulator
