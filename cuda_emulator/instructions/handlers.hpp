// handlers.hpp - templates for handlers.
#pragma once

#include <cstdint>

#include "decode/selection.hpp"
#include "machine/lane.hpp"

namespace cuda_emulator {

template <class T, auto operation>
bool run_unary(const Instruction& i, Lane& lane) {
  write<T>(lane, i.dst, operation(read<T>(lane, i.a)));
  return true;
}

template <class T, auto operation>
bool run_binary(const Instruction& i, Lane& lane) {
  write<T>(lane, i.dst, operation(read<T>(lane, i.a), read<T>(lane, i.b)));
  return true;
}

template <class T, auto operation>
bool run_ternary(const Instruction& i, Lane& lane) {
  write<T>(lane, i.dst, operation(read<T>(lane, i.a), read<T>(lane, i.b), read<T>(lane, i.c)));
  return true;
}

/// Calls `visit.operator()<T>()` with the C++ type of an integer PTX type. Returns null for other types.
template <class Visitor>
Handler for_integer(Type type, Visitor visit) {
  switch (type) {
    case Type::b8:
    case Type::u8:
      return visit.template operator()<std::uint8_t>();
    case Type::s8:
      return visit.template operator()<std::int8_t>();
    case Type::b16:
    case Type::u16:
      return visit.template operator()<std::uint16_t>();
    case Type::s16:
      return visit.template operator()<std::int16_t>();
    case Type::b32:
    case Type::u32:
      return visit.template operator()<std::uint32_t>();
    case Type::s32:
      return visit.template operator()<std::int32_t>();
    case Type::b64:
    case Type::u64:
      return visit.template operator()<std::uint64_t>();
    case Type::s64:
      return visit.template operator()<std::int64_t>();
    default:
      return nullptr;
  }
}

template <auto operation>
Handler integer_unary(Type type) {
  return for_integer(type, []<class T>() -> Handler { return run_unary<T, operation>; });
}

template <auto operation>
Handler integer_binary(Type type) {
  return for_integer(type, []<class T>() -> Handler { return run_binary<T, operation>; });
}

template <auto operation>
Handler integer_ternary(Type type) {
  return for_integer(type, []<class T>() -> Handler { return run_ternary<T, operation>; });
}

}  // namespace cuda_emulator
