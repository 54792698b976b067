// bits.cpp - shifts, bit fields, permutations and moves between registers.
#include <algorithm>
#include <bit>
#include <type_traits>

#include "instructions/handlers.hpp"

namespace cuda_emulator {
namespace {

template <class T>
constexpr std::uint32_t kWidth = 8 * sizeof(T);

template <class T>
bool run_shift_left(const Instruction& i, Lane& lane) {
  const auto count = read<std::uint32_t>(lane, i.b);
  const auto value = static_cast<std::uint64_t>(read<T>(lane, i.a));
  write<T>(lane, i.dst, count >= kWidth<T> ? T{0} : static_cast<T>(value << count));
  return true;
}

// A count past the width gives zero, or the repeated sign for signed types.
template <class T>
bool run_shift_right(const Instruction& i, Lane& lane) {
  const std::uint32_t count = read<std::uint32_t>(lane, i.b);
  const T value = read<T>(lane, i.a);
  if (count >= kWidth<T>) {
    write<T>(lane, i.dst, std::is_signed_v<T> && value < 0 ? static_cast<T>(-1) : T{0});
  } else {
    write<T>(lane, i.dst, static_cast<T>(value >> count));
  }
  return true;
}

template <bool left, bool wrap>
bool run_funnel_shift(const Instruction& i, Lane& lane) {
  const std::uint64_t value =
      (std::uint64_t{read<std::uint32_t>(lane, i.b)} << 32) | read<std::uint32_t>(lane, i.a);
  const auto asked = read<std::uint32_t>(lane, i.c);
  const std::uint32_t count = wrap ? asked & 31 : std::min(asked, 32u);
  write<std::uint32_t>(lane, i.dst,
                       static_cast<std::uint32_t>(left ? (value << count) >> 32 : value >> count));
  return true;
}

template <class T>
bool run_extract(const Instruction& i, Lane& lane) {
  using Unsigned = std::make_unsigned_t<T>;
  const auto value = static_cast<Unsigned>(read<T>(lane, i.a));
  const std::uint32_t position = read<std::uint32_t>(lane, i.b) & 255;
  const std::uint32_t length = read<std::uint32_t>(lane, i.c) & 255;
  const std::uint32_t top = std::min(position + length - 1, kWidth<T> - 1);
  const bool ones = std::is_signed_v<T> && length > 0 && ((value >> top) & 1) != 0;
  Unsigned result = position < kWidth<T> ? value >> position : 0;
  const std::uint32_t kept = std::min(length, position < kWidth<T> ? kWidth<T> - position : 0);
  const Unsigned mask = kept >= kWidth<T> ? static_cast<Unsigned>(-1) : (Unsigned{1} << kept) - 1;
  result = ones ? result | static_cast<Unsigned>(~mask) : result & mask;
  write<T>(lane, i.dst, static_cast<T>(result));
  return true;
}

template <class T>
bool run_insert(const Instruction& i, Lane& lane) {
  const T field = read<T>(lane, i.a);
  const T into = read<T>(lane, i.b);
  const std::uint32_t position = read<std::uint32_t>(lane, i.c) & 255;
  const std::uint32_t length = read<std::uint32_t>(lane, i.d) & 255;
  if (position >= kWidth<T> || length == 0) {
    write<T>(lane, i.dst, into);
    return true;
  }
  const T ones = length >= kWidth<T> ? static_cast<T>(-1) : (T{1} << length) - 1;
  const T mask = ones << position;
  write<T>(lane, i.dst, (into & ~mask) | ((field << position) & mask));
  return true;
}

/// Computes a mask of `b` ones that starts at bit `a`. Both clamp at 32 or wrap.
template <bool wrap>
bool run_make_mask(const Instruction& i, Lane& lane) {
  auto position = read<std::uint32_t>(lane, i.a);
  auto length = read<std::uint32_t>(lane, i.b);
  position = wrap ? position & 31 : std::min(position, 32u);
  length = wrap ? length & 31 : std::min(length, 32u);
  const std::uint64_t ones = ((std::uint64_t{1} << length) - 1) << position;
  write<std::uint32_t>(lane, i.dst, static_cast<std::uint32_t>(ones));
  return true;
}

bool run_permute(const Instruction& i, Lane& lane) {
  const std::uint64_t bytes =
      (std::uint64_t{read<std::uint32_t>(lane, i.b)} << 32) | read<std::uint32_t>(lane, i.a);
  const auto selector = read<std::uint32_t>(lane, i.c);
  std::uint32_t result = 0;
  for (int k = 0; k < 4; ++k) {
    const std::uint32_t choice = (selector >> (4 * k)) & 15;
    auto byte = static_cast<std::uint32_t>(bytes >> (8 * (choice & 7))) & 255;
    if ((choice & 8) != 0) byte = (byte & 128) != 0 ? 255 : 0;  // Bit 3 selects the repeated sign.
    result |= byte << (8 * k);
  }
  write<std::uint32_t>(lane, i.dst, result);
  return true;
}

/// Computes any function of three bits: the result is bit (a b c) of the table.
bool run_lookup(const Instruction& i, Lane& lane) {
  const auto a = read<std::uint32_t>(lane, i.a);
  const auto b = read<std::uint32_t>(lane, i.b);
  const auto c = read<std::uint32_t>(lane, i.c);
  const auto table = read<std::uint32_t>(lane, i.d);
  std::uint32_t result = 0;
  for (std::uint32_t k = 0; k < 8; ++k) {
    if (((table >> k) & 1) == 0) continue;
    result |= ((k & 4) != 0 ? a : ~a) & ((k & 2) != 0 ? b : ~b) & ((k & 1) != 0 ? c : ~c);
  }
  write<std::uint32_t>(lane, i.dst, result);
  return true;
}

template <class T>
T reverse(T value) {
  T result = 0;
  for (std::uint32_t k = 0; k < kWidth<T>; ++k) result |= ((value >> k) & 1) << (kWidth<T> - 1 - k);
  return result;
}

/// Returns the position of the highest bit that differs from the sign, or all ones if no bit does.
template <class T>
std::uint32_t find_leading(T value) {
  using Unsigned = std::make_unsigned_t<T>;
  const auto bits = static_cast<Unsigned>(std::is_signed_v<T> && value < 0 ? ~value : value);
  return bits == 0 ? ~0u : kWidth<T> - 1 - static_cast<std::uint32_t>(std::countl_zero(bits));
}

template <class T, bool as_shift>
bool run_find_leading(const Instruction& i, Lane& lane) {
  const std::uint32_t found = find_leading(read<T>(lane, i.a));
  write<std::uint32_t>(lane, i.dst, as_shift && found != ~0u ? kWidth<T> - 1 - found : found);
  return true;
}

template <class T, auto count>
bool run_count(const Instruction& i, Lane& lane) {
  write<std::uint32_t>(lane, i.dst, static_cast<std::uint32_t>(count(read<T>(lane, i.a))));
  return true;
}

constexpr auto kOnes = [](auto x) { return std::popcount(x); };
constexpr auto kLeadingZeros = [](auto x) { return std::countl_zero(x); };

bool run_move(const Instruction& i, Lane& lane) {
  lane.slots[i.dst] = lane.slots[i.a];
  return true;
}

template <int total_bytes, int count>
bool run_pack(const Instruction& i, Lane& lane) {
  constexpr int bits = 8 * total_bytes / count;
  std::uint64_t packed = 0;
  for (int k = 0; k < count; ++k) {
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    packed |= (lane.slots[i.items[static_cast<std::size_t>(k)]] & mask) << (k * bits);
  }
  lane.slots[i.dst] = packed;
  return true;
}

template <int total_bytes, int count>
bool run_unpack(const Instruction& i, Lane& lane) {
  constexpr int bits = 8 * total_bytes / count;
  const std::uint64_t packed = lane.slots[i.a];
  for (int k = 0; k < count; ++k) {
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    lane.slots[i.items[static_cast<std::size_t>(k)]] = (packed >> (k * bits)) & mask;
  }
  return true;
}

Handler select_shift(Selection& selection) {
  Modifiers& modifiers = selection.modifiers;
  if (selection.opcode == "shf") {
    const bool left = modifiers.take_one({"l", "r"}) == 0;
    const bool wrap = modifiers.take_one({"wrap", "clamp"}) == 0;
    modifiers.take_type();
    if (left) return wrap ? run_funnel_shift<true, true> : run_funnel_shift<true, false>;
    return wrap ? run_funnel_shift<false, true> : run_funnel_shift<false, false>;
  }
  const Type type = modifiers.take_type();
  if (selection.opcode == "shl")
    return for_integer(type, []<class T>() -> Handler { return run_shift_left<T>; });
  return for_integer(type, []<class T>() -> Handler { return run_shift_right<T>; });
}

Handler select_field(Selection& selection) {
  Modifiers& modifiers = selection.modifiers;
  const std::string_view opcode = selection.opcode;
  if (opcode == "bmsk") {
    const bool wrap = modifiers.take_one({"wrap", "clamp"}) == 0;
    modifiers.take_type();
    return wrap ? run_make_mask<true> : run_make_mask<false>;
  }
  const bool as_shift = modifiers.take("shiftamt");
  const Type type = modifiers.take_type();
  if (opcode == "bfe") return for_integer(type, []<class T>() -> Handler { return run_extract<T>; });
  if (opcode == "bfi") return size_of(type) == 8 ? run_insert<std::uint64_t> : run_insert<std::uint32_t>;
  return for_integer(type, [&]<class T>() -> Handler {
    return as_shift ? run_find_leading<T, true> : run_find_leading<T, false>;
  });
}

Handler select_whole(std::string_view opcode, Type type) {
  const bool wide = size_of(type) == 8;
  if (opcode == "popc") return wide ? run_count<std::uint64_t, kOnes> : run_count<std::uint32_t, kOnes>;
  if (opcode == "clz") {
    return wide ? run_count<std::uint64_t, kLeadingZeros> : run_count<std::uint32_t, kLeadingZeros>;
  }
  if (opcode == "brev") {
    return wide ? run_unary<std::uint64_t, reverse<std::uint64_t>>
                : run_unary<std::uint32_t, reverse<std::uint32_t>>;
  }
  if (opcode == "prmt") return run_permute;
  if (opcode == "lop3") return run_lookup;
  return nullptr;
}

}  // namespace

Handler move_handler() { return run_move; }

Handler pack_handler(int total_bytes, int count) {
  if (total_bytes == 4 && count == 2) return run_pack<4, 2>;
  if (total_bytes == 8 && count == 2) return run_pack<8, 2>;
  if (total_bytes == 8 && count == 4) return run_pack<8, 4>;
  if (total_bytes == 4 && count == 4) return run_pack<4, 4>;
  if (total_bytes == 2 && count == 2) return run_pack<2, 2>;
  return nullptr;
}

Handler unpack_handler(int total_bytes, int count) {
  if (total_bytes == 4 && count == 2) return run_unpack<4, 2>;
  if (total_bytes == 8 && count == 2) return run_unpack<8, 2>;
  if (total_bytes == 8 && count == 4) return run_unpack<8, 4>;
  if (total_bytes == 4 && count == 4) return run_unpack<4, 4>;
  if (total_bytes == 2 && count == 2) return run_unpack<2, 2>;
  return nullptr;
}

bool select_bits(Selection& selection) {
  const std::string_view opcode = selection.opcode;
  if (opcode == "shl" || opcode == "shr" || opcode == "shf") {
    selection.out.run = select_shift(selection);
  } else if (opcode == "bfe" || opcode == "bfi" || opcode == "bfind" || opcode == "bmsk") {
    selection.out.run = select_field(selection);
  } else if (opcode == "popc" || opcode == "clz" || opcode == "brev" || opcode == "prmt" ||
             opcode == "lop3") {
    selection.out.run = select_whole(opcode, selection.modifiers.take_type());
  } else {
    return false;
  }
  return selection.out.run != nullptr;
}

}  // namespace cuda_emulator
