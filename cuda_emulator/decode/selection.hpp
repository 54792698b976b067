// selection.hpp - selects the handler of an instruction.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "machine/instruction.hpp"

namespace cuda_emulator {

/// The dotted words after an opcode. The selecting function must take every word; a word that is left is an
/// error.
class Modifiers {
 public:
  explicit Modifiers(std::vector<std::string_view> words) : words_(std::move(words)) {}

  bool take(std::string_view word);
  /// Takes the first of `words` that is present and returns its index, or `otherwise` if none is.
  int take_one(std::initializer_list<std::string_view> words, int otherwise = -1);
  /// Takes words that change neither results nor checks, such as cache hints.
  void drop(std::initializer_list<std::string_view> words);
  void drop_starting_with(std::string_view prefix);
  /// Takes the first word that is a type.
  Type take_type();
  Space take_space();
  std::string_view first() const { return words_.empty() ? std::string_view{} : words_.front(); }

 private:
  std::vector<std::string_view> words_;
};

/// The mapping from the operands of the text to the slots of an instruction.
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
  /// Number of elements of the vector operand that the handler expects; 0 if it expects no vector.
  std::size_t vector_size = 0;
};

// Each function looks at the opcode. If it knows the opcode, it sets the handler and returns true.
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

/// Copies one register to another, for mov and for the decoder's own use.
Handler move_handler();
/// Inverts a predicate. The decoder resolves `!p` operands with it.
Handler invert_handler();
/// Pack {items} into one register and unpack them. `total_bytes` is the size of the register, `count` the
/// number of items.
Handler pack_handler(int total_bytes, int count);
Handler unpack_handler(int total_bytes, int count);
Handler clock_handler();
Handler call_handler();
/// Returns the handler of a driver function without a PTX body (vprintf, __assertfail), or null if it is
/// unknown.
Handler builtin_handler(std::string_view name);

}  // namespace cuda_emulator
