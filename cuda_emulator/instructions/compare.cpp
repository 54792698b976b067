// compare.cpp - setp, set, selp, slct.
#include <cmath>

#include "instructions/handlers.hpp"
#include "instructions/rounding.hpp"

namespace cuda_emulator {
namespace {

constexpr auto kEqual = [](auto x, auto y) { return x == y; };
constexpr auto kLess = [](auto x, auto y) { return x < y; };
constexpr auto kLessEqual = [](auto x, auto y) { return x <= y; };
constexpr auto kGreater = [](auto x, auto y) { return x > y; };
constexpr auto kGreaterEqual = [](auto x, auto y) { return x >= y; };
// A comparison with NaN is false, except for the forms with u, which are true. They negate another
// comparison.
constexpr auto kNotEqual = [](auto x, auto y) { return x < y || x > y; };
constexpr auto kEqualUnordered = [](auto x, auto y) { return !(x < y || x > y); };
constexpr auto kNotEqualUnordered = [](auto x, auto y) { return !(x == y); };
constexpr auto kLessUnordered = [](auto x, auto y) { return !(x >= y); };
constexpr auto kLessEqualUnordered = [](auto x, auto y) { return !(x > y); };
constexpr auto kGreaterUnordered = [](auto x, auto y) { return !(x <= y); };
constexpr auto kGreaterEqualUnordered = [](auto x, auto y) { return !(x < y); };
constexpr auto kNumbers = [](auto x, auto y) { return x == x && y == y; };
constexpr auto kAnyNan = [](auto x, auto y) { return x != x || y != y; };

enum Combine : std::uint8_t { kAlone, kAnd, kOr, kXor };

constexpr std::uint8_t kFloatResult = 1;  // Option of set: writes 1.0f instead of all ones.

/// Readers of the operand types. The 16-bit formats widen exactly.
struct HalfReader {
  static float get(const Instruction&, const Lane& lane, Slot slot) {
    return half_to_float(read<std::uint16_t>(lane, slot));
  }
};
struct BfloatReader {
  static float get(const Instruction&, const Lane& lane, Slot slot) {
    return bfloat_to_float(read<std::uint16_t>(lane, slot));
  }
};
template <class T>
struct PlainReader {
  static T get(const Instruction&, const Lane& lane, Slot slot) { return read<T>(lane, slot); }
};
struct FlushingReader {
  static float get(const Instruction&, const Lane& lane, Slot slot) { return flush(read<float>(lane, slot)); }
};

bool combine(const Instruction& i, const Lane& lane, bool result) {
  if (i.mode == kAlone) return result;
  const bool other = (lane.slots[i.c] & 1) != 0;
  return i.mode == kAnd ? result && other : i.mode == kOr ? result || other : result != other;
}

template <class Reader, auto compare>
bool run_setp(const Instruction& i, Lane& lane) {
  const bool result = compare(Reader::get(i, lane, i.a), Reader::get(i, lane, i.b));
  const bool first = combine(i, lane, result);
  const bool second = combine(i, lane, !result);
  lane.slots[i.dst] = first;
  lane.slots[i.dst2] = second;
  return true;
}

template <class Reader, auto compare>
bool run_set(const Instruction& i, Lane& lane) {
  const bool result = combine(i, lane, compare(Reader::get(i, lane, i.a), Reader::get(i, lane, i.b)));
  const std::uint32_t yes = (i.options & kFloatResult) != 0 ? 0x3f800000u : 0xffffffffu;
  write<std::uint32_t>(lane, i.dst, result ? yes : 0);
  return true;
}

bool run_selp(const Instruction& i, Lane& lane) {
  lane.slots[i.dst] = (lane.slots[i.c] & 1) != 0 ? lane.slots[i.a] : lane.slots[i.b];
  return true;
}

template <class T>
bool run_slct(const Instruction& i, Lane& lane) {
  lane.slots[i.dst] = read<T>(lane, i.c) >= 0 ? lane.slots[i.a] : lane.slots[i.b];
  return true;
}

template <bool predicate, class Reader, auto compare>
constexpr Handler kRun = predicate ? run_setp<Reader, compare> : run_set<Reader, compare>;

template <bool predicate, class Reader>
Handler comparison(int which) {
  constexpr Handler kHandlers[] = {
      kRun<predicate, Reader, kEqual>,
      kRun<predicate, Reader, kNotEqual>,
      kRun<predicate, Reader, kLess>,
      kRun<predicate, Reader, kLessEqual>,
      kRun<predicate, Reader, kGreater>,
      kRun<predicate, Reader, kGreaterEqual>,
      kRun<predicate, Reader, kLess>,
      kRun<predicate, Reader, kLessEqual>,
      kRun<predicate, Reader, kGreater>,
      kRun<predicate, Reader, kGreaterEqual>,
      kRun<predicate, Reader, kEqualUnordered>,
      kRun<predicate, Reader, kNotEqualUnordered>,
      kRun<predicate, Reader, kLessUnordered>,
      kRun<predicate, Reader, kLessEqualUnordered>,
      kRun<predicate, Reader, kGreaterUnordered>,
      kRun<predicate, Reader, kGreaterEqualUnordered>,
      kRun<predicate, Reader, kNumbers>,
      kRun<predicate, Reader, kAnyNan>,
  };
  return which < 0 ? nullptr : kHandlers[which];
}

template <bool predicate>
Handler for_type(Type type, int which, bool flushed) {
  switch (type) {
    case Type::f16:
      return comparison<predicate, HalfReader>(which);
    case Type::bf16:
      return comparison<predicate, BfloatReader>(which);
    case Type::f32:
      return flushed ? comparison<predicate, FlushingReader>(which)
                     : comparison<predicate, PlainReader<float>>(which);
    case Type::f64:
      return comparison<predicate, PlainReader<double>>(which);
    default:
      return for_integer(type,
                         [&]<class T>() -> Handler { return comparison<predicate, PlainReader<T>>(which); });
  }
}

Handler select(Selection& selection) {
  Modifiers& modifiers = selection.modifiers;
  Instruction& out = selection.out;
  const int which = modifiers.take_one({"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ",
                                        "neu", "ltu", "leu", "gtu", "geu", "num", "nan"});
  out.mode = static_cast<std::uint8_t>(1 + modifiers.take_one({"and", "or", "xor"}));
  const bool flushed = modifiers.take("ftz");
  if (selection.opcode == "setp") return for_type<true>(modifiers.take_type(), which, flushed);
  const Type result = modifiers.take_type();
  if (result == Type::f32) out.options |= kFloatResult;
  if (size_of(result) != 4) return nullptr;
  return for_type<false>(modifiers.take_type(), which, flushed);
}

}  // namespace

bool select_compare(Selection& selection) {
  if (selection.opcode == "selp") {
    selection.modifiers.take_type();
    selection.out.run = run_selp;
  } else if (selection.opcode == "slct") {
    selection.modifiers.take_type();
    selection.out.run =
        selection.modifiers.take_type() == Type::f32 ? run_slct<float> : run_slct<std::int32_t>;
  } else if (selection.opcode == "setp" || selection.opcode == "set") {
    selection.out.run = select(selection);
  } else {
    return false;
  }
  return selection.out.run != nullptr;
}

}  // namespace cuda_emulator
