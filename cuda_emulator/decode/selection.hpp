// selection.hpp - how an instruction of the text finds its handler.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "machine/instruction.hpp"

namespace cuda_emulator {

/// The dotted words after an opcode. Each must be taken by someone; what is left over is unknown.
class Modifiers {
 public:
  explicit Modifiers(std::vector<std::string_view> words) : words_(std::move(words)) {}

  bool take(std::string_view word);
  /// Takes the first that is present; its index in `words`, or `otherwise`.
  int take_one(std::initializer_list<std::string_view> words, int otherwise = -1);
  /// Takes words that change neither results nor checks: cache hints and the like.
  void drop(std::initializer_list<std::string_view> words);
  void drop_starting_with(std::string_view prefix);
  /// Takes the first word that is a type.
  Type take_type();
  Space take_space();
  std::string_view first() const { return words_.empty() ? std::string_view{} : words_.front(); }

 private:
  std::vector<std::string_view> words_;
};

/// How the operands of the text map to the slots of an instruction.
enum class Layout {
  registers,  ///< dst[|dst2], a, b, c, d
  load,       ///< dst or {items}, [a + offset]
  store,      ///< [a + offset], b or {items}
  atomic,     ///< dst, [a + offset], b, c
  reduction,  ///< [a + offset], b, c
  branch,     ///< label
  call,
  sources,  ///< a, b, c
  barrier_reduction,
  ignored,
};

struct Selection {
  std::string_view opcode;
  Modifiers modifiers;
  Instruction& out;
  Layout layout = Layout::registers;
  /// Number of elements of a vector operand, as the handler expects it; 0 where there is none.
  std::size_t vector_size = 0;
};

// Each looks at the opcode and, if it is one of its own, sets the handler and returns true.
bool select_integer(Selection& selection);
bool select_bits(Selection& selection);
bool select_float(Selection& selection);
bool select_half(Selection& selection);
bool select_transcendental(Selection& selection);
bool select_convert(Selection& selection);
bool select_compare(Selection& selection);
bool select_memory(Selection& selection);
bool select_atomic(Selection& selection);
bool select_control(Selection& selection);
bool select_warp(Selection& selection);

/// The copy between equal registers, for mov and for the decoder's own use.
Handler move_handler();
/// Inverts a predicate: the decoder resolves `!p` operands with it.
Handler invert_handler();
/// {items} to one register and back; `total` and `count` of the packed type.
Handler pack_handler(int total_bytes, int count);
Handler unpack_handler(int total_bytes, int count);
Handler clock_handler();
Handler call_handler();
/// A function of the driver (vprintf, __assertfail) that has no PTX body; null if unknown.
Handler builtin_handler(std::string_view name);

}  // namespace cuda_emulator
