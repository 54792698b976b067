// types.hpp - the fundamental types and state spaces of PTX.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace cuda_emulator {

/// An error in a PTX text, or a part of it that the emulator does not know.
struct PtxError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Type : std::uint8_t {
  none,
  pred,
  b8,
  u8,
  s8,
  b16,
  u16,
  s16,
  f16,
  bf16,
  b32,
  u32,
  s32,
  f32,
  f16x2,
  bf16x2,
  b64,
  u64,
  s64,
  f64,
  b128,
};

enum class Space : std::uint8_t { generic, global, shared, local, param, constant };

/// Returns the type that a word such as "f32" names, or Type::none.
Type parse_type(std::string_view word);

/// Bytes in memory. A predicate has no memory form and counts as one byte.
constexpr int size_of(Type type) {
  switch (type) {
    case Type::b16:
    case Type::u16:
    case Type::s16:
    case Type::f16:
    case Type::bf16:
      return 2;
    case Type::b32:
    case Type::u32:
    case Type::s32:
    case Type::f32:
    case Type::f16x2:
    case Type::bf16x2:
      return 4;
    case Type::b64:
    case Type::u64:
    case Type::s64:
    case Type::f64:
      return 8;
    case Type::b128:
      return 16;
    default:
      return 1;
  }
}

constexpr bool is_signed(Type type) {
  return type == Type::s8 || type == Type::s16 || type == Type::s32 || type == Type::s64;
}

constexpr bool is_float(Type type) {
  return type == Type::f16 || type == Type::bf16 || type == Type::f32 || type == Type::f64 ||
         type == Type::f16x2 || type == Type::bf16x2;
}

/// A place in the CUDA source, from `.loc`. File 0 means that the text has no line information.
struct SourceLine {
  struct Caller {
    int file = 0;
    int line = 0;
  };
  int file = 0;
  int line = 0;
  std::vector<Caller> callers;  ///< Calls of the functions that were inlined here, innermost first.
};

}  // namespace cuda_emulator
