// atomic.cpp - atom and red. Only one thread runs at a time, so a read followed by a write is atomic.
#include <algorithm>

#include "instructions/handlers.hpp"
#include "instructions/rounding.hpp"
#include "machine/access.hpp"

namespace cuda_emulator {
namespace {

constexpr auto kAdd = []<class T>(T old, T x, T) { return static_cast<T>(old + x); };
constexpr auto kMinimum = [](auto old, auto x, auto) { return std::min(old, x); };
constexpr auto kMaximum = [](auto old, auto x, auto) { return std::max(old, x); };
constexpr auto kAnd = []<class T>(T old, T x, T) { return static_cast<T>(old & x); };
constexpr auto kOr = []<class T>(T old, T x, T) { return static_cast<T>(old | x); };
constexpr auto kXor = []<class T>(T old, T x, T) { return static_cast<T>(old ^ x); };
constexpr auto kExchange = [](auto, auto x, auto) { return x; };
constexpr auto kCompareAndSwap = [](auto old, auto expected, auto x) { return old == expected ? x : old; };
constexpr auto kIncrement = []<class T>(T old, T limit, T) {
  return old >= limit ? T{0} : static_cast<T>(old + 1);
};
constexpr auto kDecrement = []<class T>(T old, T limit, T) {
  return old == 0 || old > limit ? limit : static_cast<T>(old - 1);
};

template <class T, auto operation, Space space>
bool run_atomic(const Instruction& i, Lane& lane) {
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint16_t>>;
  const std::uint64_t address = lane.slots[i.a] + i.offset;
  const Scope scope = (i.options & kBlockScope) != 0 ? Scope::block : Scope::device;
  const bool track = lane.block->check_races();
  if (track && (i.options & kRelease) != 0) lane.block->fence(lane, scope);
  if (track) lane.block->strong_access(address, space, lane, StrongAccess::read_modify_write);
  char* place = access<sizeof(T), AccessKind::update, space>(i, lane, address);
  if (track && (i.options & kAcquire) != 0) lane.block->fence(lane, scope);
  if (place == nullptr) {
    lane.slots[i.dst] = ~std::uint64_t{0};
    return true;
  }
  T old;
  std::memcpy(&old, place, sizeof old);
  const T updated = operation(old, read<T>(lane, i.b), read<T>(lane, i.c));
  std::memcpy(place, &updated, sizeof updated);
  write<Bits>(lane, i.dst, std::bit_cast<Bits>(old));
  return true;
}

template <class T, auto operation>
Handler in_space(Space space) {
  switch (space) {
    case Space::shared:
      return run_atomic<T, operation, Space::shared>;
    case Space::global:
      return run_atomic<T, operation, Space::global>;
    case Space::generic:
      return run_atomic<T, operation, Space::generic>;
    default:
      return nullptr;
  }
}

template <auto operation>
Handler for_integer_of_4_or_8(Type type, Space space) {
  if (type == Type::s32) return in_space<std::int32_t, operation>(space);
  if (type == Type::s64) return in_space<std::int64_t, operation>(space);
  if (size_of(type) == 4) return in_space<std::uint32_t, operation>(space);
  if (size_of(type) == 8) return in_space<std::uint64_t, operation>(space);
  return nullptr;
}

Handler add(Type type, Space space) {
  if (type == Type::f32) return in_space<float, kAdd>(space);
  if (type == Type::f64) return in_space<double, kAdd>(space);
  return is_float(type) ? nullptr : for_integer_of_4_or_8<kAdd>(type, space);
}

Handler select(Modifiers& modifiers, Space space, Counted& counted) {
  const int which =
      modifiers.take_one({"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"});
  const Type type = modifiers.take_type();
  counted = {Counted::Kind::atomic, space, static_cast<std::uint8_t>(size_of(type))};
  switch (which) {
    case 0:
      return add(type, space);
    case 1:
      return is_float(type) ? nullptr : for_integer_of_4_or_8<kMinimum>(type, space);
    case 2:
      return is_float(type) ? nullptr : for_integer_of_4_or_8<kMaximum>(type, space);
    case 3:
      return for_integer_of_4_or_8<kAnd>(type, space);
    case 4:
      return for_integer_of_4_or_8<kOr>(type, space);
    case 5:
      return for_integer_of_4_or_8<kXor>(type, space);
    case 6:
      return for_integer_of_4_or_8<kExchange>(type, space);
    case 7:
      if (type == Type::b16) return in_space<std::uint16_t, kCompareAndSwap>(space);
      return for_integer_of_4_or_8<kCompareAndSwap>(type, space);
    case 8:
      return for_integer_of_4_or_8<kIncrement>(type, space);
    case 9:
      return for_integer_of_4_or_8<kDecrement>(type, space);
    default:
      return nullptr;
  }
}

}  // namespace

bool select_atomic(Selection& selection) {
  if (selection.opcode != "atom" && selection.opcode != "red") return false;
  Modifiers& modifiers = selection.modifiers;
  Instruction& out = selection.out;
  out.strong = true;
  if (modifiers.take("acq_rel")) out.options |= kAcquire | kRelease;
  if (modifiers.take("acquire")) out.options |= kAcquire;
  if (modifiers.take("release")) out.options |= kRelease;
  modifiers.drop({"relaxed", "gpu", "sys", "noftz"});
  if (modifiers.take("cta")) out.options |= kBlockScope;
  modifiers.drop_starting_with("L2::");
  const Space space = modifiers.take_space();
  selection.layout = selection.opcode == "atom" ? Layout::atomic : Layout::reduction;
  out.run = select(modifiers, space, out.counted);
  return out.run != nullptr;
}

}  // namespace cuda_emulator
