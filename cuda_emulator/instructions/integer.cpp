// integer.cpp - arithmetic on integers and predicates.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "instructions/handlers.hpp"

namespace cuda_emulator {
namespace {

// Arithmetic wraps around, so it uses unsigned types that are wide enough not to be promoted to int.
template <class T>
using Wrapping = std::conditional_t<(sizeof(T) < 4), std::uint32_t, std::make_unsigned_t<T>>;

constexpr auto kAdd = []<class T>(T x, T y) { return static_cast<T>(Wrapping<T>(x) + Wrapping<T>(y)); };
constexpr auto kSubtract = []<class T>(T x, T y) { return static_cast<T>(Wrapping<T>(x) - Wrapping<T>(y)); };
constexpr auto kMultiplyLow = []<class T>(T x, T y) {
  return static_cast<T>(Wrapping<T>(x) * Wrapping<T>(y));
};
constexpr auto kMaximum = []<class T>(T x, T y) { return std::max(x, y); };
constexpr auto kMinimum = []<class T>(T x, T y) { return std::min(x, y); };
constexpr auto kNegate = []<class T>(T x) { return static_cast<T>(0 - Wrapping<T>(x)); };
constexpr auto kAbsolute = []<class T>(T x) { return x < 0 ? static_cast<T>(0 - Wrapping<T>(x)) : x; };
constexpr auto kAnd = []<class T>(T x, T y) { return static_cast<T>(x & y); };
constexpr auto kOr = []<class T>(T x, T y) { return static_cast<T>(x | y); };
constexpr auto kXor = []<class T>(T x, T y) { return static_cast<T>(x ^ y); };
constexpr auto kNot = []<class T>(T x) { return static_cast<T>(~x); };
constexpr auto kLogicalNot = []<class T>(T x) { return static_cast<T>(x == 0); };

constexpr auto kMultiplyHigh = []<class T>(T x, T y) {
  using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
  return static_cast<T>((static_cast<Wide>(x) * static_cast<Wide>(y)) >> (8 * sizeof(T)));
};

// PTX does not define division by zero. The hardware returns all ones, and the dividend as the remainder.
constexpr auto kDivide = []<class T>(T x, T y) {
  if (y == 0) return static_cast<T>(-1);
  if (std::is_signed_v<T> && y == static_cast<T>(-1)) return static_cast<T>(0 - Wrapping<T>(x));
  return static_cast<T>(x / y);
};
constexpr auto kRemainder = []<class T>(T x, T y) {
  if (y == 0) return x;
  if (std::is_signed_v<T> && y == static_cast<T>(-1)) return static_cast<T>(0);
  return static_cast<T>(x % y);
};

constexpr auto kAddSaturating = [](std::int32_t x, std::int32_t y) {
  const std::int64_t sum = std::int64_t{x} + y;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(sum, INT32_MIN, INT32_MAX));
};
constexpr auto kSubtractSaturating = [](std::int32_t x, std::int32_t y) {
  const std::int64_t difference = std::int64_t{x} - y;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(difference, INT32_MIN, INT32_MAX));
};

constexpr auto kMultiplyAddLow = []<class T>(T x, T y, T z) { return kAdd(kMultiplyLow(x, y), z); };
constexpr auto kMultiplyAddHigh = []<class T>(T x, T y, T z) { return kAdd(kMultiplyHigh(x, y), z); };

constexpr auto kAddDifference = []<class T>(T x, T y, T z) {
  return kAdd(x > y ? kSubtract(x, y) : kSubtract(y, x), z);
};

/// Returns the low 24 bits of a number, which mul24 uses.
template <class T>
std::int64_t low_24(T x) {
  return std::is_signed_v<T> ? static_cast<std::int64_t>(x << 8) >> 8
                             : static_cast<std::int64_t>(x & 0xffffff);
}
constexpr auto kMultiply24 = []<class T>(T x, T y) { return static_cast<T>(low_24(x) * low_24(y)); };
constexpr auto kMultiplyAdd24 = []<class T>(T x, T y, T z) { return kAdd(kMultiply24(x, y), z); };

/// The type of twice the width, for mul.wide.
template <class T>
struct Doubled;
template <>
struct Doubled<std::uint16_t> : std::type_identity<std::uint32_t> {};
template <>
struct Doubled<std::int16_t> : std::type_identity<std::int32_t> {};
template <>
struct Doubled<std::uint32_t> : std::type_identity<std::uint64_t> {};
template <>
struct Doubled<std::int32_t> : std::type_identity<std::int64_t> {};

template <class T, bool add>
bool run_wide(const Instruction& i, Lane& lane) {
  using Wide = typename Doubled<T>::type;
  // This cannot overflow, because the product of two narrow numbers fits.
  const Wide product =
      static_cast<Wide>(static_cast<Wide>(read<T>(lane, i.a)) * static_cast<Wide>(read<T>(lane, i.b)));
  write<Wide>(lane, i.dst, add ? kAdd(product, read<Wide>(lane, i.c)) : product);
  return true;
}

template <bool add>
Handler wide(Type type) {
  switch (type) {
    case Type::u16:
      return run_wide<std::uint16_t, add>;
    case Type::s16:
      return run_wide<std::int16_t, add>;
    case Type::u32:
      return run_wide<std::uint32_t, add>;
    case Type::s32:
      return run_wide<std::int32_t, add>;
    default:
      return nullptr;
  }
}

enum CarryOption : std::uint8_t { kUseCarry = 1, kSetCarry = 2 };

/// Adds or subtracts with the carry flag. The .cc forms set it, addc and subc use it.
template <class T, bool subtract>
T with_carry(const Instruction& i, Lane& lane, T x, T y) {
  using Unsigned = std::make_unsigned_t<T>;
  const unsigned __int128 carry = (i.options & kUseCarry) != 0 && lane.carry ? 1 : 0;
  const unsigned __int128 left = static_cast<Unsigned>(x);
  const unsigned __int128 right = static_cast<Unsigned>(y);
  const unsigned __int128 result = subtract ? left - right - carry : left + right + carry;
  if ((i.options & kSetCarry) != 0) lane.carry = (result >> (8 * sizeof(T)) & 1) != 0;
  return static_cast<T>(result);
}

template <class T, bool subtract>
bool run_with_carry(const Instruction& i, Lane& lane) {
  write<T>(lane, i.dst, with_carry<T, subtract>(i, lane, read<T>(lane, i.a), read<T>(lane, i.b)));
  return true;
}

template <class T, bool high>
bool run_multiply_add_with_carry(const Instruction& i, Lane& lane) {
  const T x = read<T>(lane, i.a);
  const T y = read<T>(lane, i.b);
  const T product = high ? kMultiplyHigh(x, y) : kMultiplyLow(x, y);
  write<T>(lane, i.dst, with_carry<T, false>(i, lane, product, read<T>(lane, i.c)));
  return true;
}

Handler select_carry(Selection& selection) {
  std::string_view opcode = selection.opcode;
  const bool uses = opcode == "addc" || opcode == "subc" || opcode == "madc";
  const bool sets = selection.modifiers.take("cc");
  if (!uses && !sets) return nullptr;
  selection.out.options = static_cast<std::uint8_t>((uses ? kUseCarry : 0) | (sets ? kSetCarry : 0));
  opcode = opcode.substr(0, 3);
  const bool high = selection.modifiers.take_one({"hi", "lo"}) == 0;
  const Type type = selection.modifiers.take_type();
  if (size_of(type) < 4) return nullptr;
  if (opcode == "add")
    return for_integer(type, []<class T>() -> Handler { return run_with_carry<T, false>; });
  if (opcode == "sub") return for_integer(type, []<class T>() -> Handler { return run_with_carry<T, true>; });
  if (opcode != "mad") return nullptr;
  return for_integer(type, [&]<class T>() -> Handler {
    return high ? run_multiply_add_with_carry<T, true> : run_multiply_add_with_carry<T, false>;
  });
}

Handler select_logic(std::string_view opcode, Type type) {
  // A predicate is a byte that is 0 or 1, so only `not` differs from the integer form.
  const Type plain = type == Type::pred ? Type::b8 : type;
  if (opcode == "and") return integer_binary<kAnd>(plain);
  if (opcode == "or") return integer_binary<kOr>(plain);
  if (opcode == "xor") return integer_binary<kXor>(plain);
  if (opcode == "not" && type == Type::pred) return run_unary<std::uint8_t, kLogicalNot>;
  if (opcode == "not") return integer_unary<kNot>(plain);
  if (opcode == "cnot") return integer_unary<kLogicalNot>(plain);
  return nullptr;
}

Handler select_multiply(std::string_view opcode, Modifiers& modifiers) {
  const bool high = modifiers.take("hi");
  const bool is_wide = modifiers.take("wide");
  modifiers.take("lo");
  const Type type = modifiers.take_type();
  if (is_wide) return opcode == "mul" ? wide<false>(type) : wide<true>(type);
  if (opcode == "mul") return high ? integer_binary<kMultiplyHigh>(type) : integer_binary<kMultiplyLow>(type);
  return high ? integer_ternary<kMultiplyAddHigh>(type) : integer_ternary<kMultiplyAddLow>(type);
}

Handler select_arithmetic(std::string_view opcode, Type type) {
  if (opcode == "add") return integer_binary<kAdd>(type);
  if (opcode == "sub") return integer_binary<kSubtract>(type);
  if (opcode == "div") return integer_binary<kDivide>(type);
  if (opcode == "rem") return integer_binary<kRemainder>(type);
  if (opcode == "min") return integer_binary<kMinimum>(type);
  if (opcode == "max") return integer_binary<kMaximum>(type);
  if (opcode == "neg") return integer_unary<kNegate>(type);
  if (opcode == "abs" && is_signed(type)) return integer_unary<kAbsolute>(type);
  if (opcode == "sad") return integer_ternary<kAddDifference>(type);
  return select_logic(opcode, type);
}

Handler select_24_bits(std::string_view opcode, Modifiers& modifiers) {
  if (!modifiers.take("lo")) return nullptr;
  const bool add = opcode == "mad24";
  const bool with_sign = modifiers.take_type() == Type::s32;
  if (with_sign)
    return add ? run_ternary<std::int32_t, kMultiplyAdd24> : run_binary<std::int32_t, kMultiply24>;
  return add ? run_ternary<std::uint32_t, kMultiplyAdd24> : run_binary<std::uint32_t, kMultiply24>;
}

Handler select(Selection& selection) {
  Modifiers& modifiers = selection.modifiers;
  if (selection.opcode == "mul24" || selection.opcode == "mad24")
    return select_24_bits(selection.opcode, modifiers);
  if (const Handler carry = select_carry(selection)) return carry;
  if (selection.opcode == "mul" || selection.opcode == "mad")
    return select_multiply(selection.opcode, modifiers);
  const bool saturate = modifiers.take("sat");
  const Type type = modifiers.take_type();
  if (!saturate) return select_arithmetic(selection.opcode, type);
  if (type != Type::s32) return nullptr;
  if (selection.opcode == "add") return run_binary<std::int32_t, kAddSaturating>;
  if (selection.opcode == "sub") return run_binary<std::int32_t, kSubtractSaturating>;
  return nullptr;
}

}  // namespace

Handler invert_handler() { return run_unary<std::uint8_t, kLogicalNot>; }

bool select_integer(Selection& selection) {
  // Restores the modifiers if this is not an integer instruction.
  const Modifiers before = selection.modifiers;
  selection.out.run = select(selection);
  if (selection.out.run == nullptr) selection.modifiers = before;
  return selection.out.run != nullptr;
}

}  // namespace cuda_emulator
