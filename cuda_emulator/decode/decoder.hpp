// decoder.hpp - turns the parsed text of a function into the program that the machine runs.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "decode/selection.hpp"
#include "machine/instruction.hpp"
#include "ptx/module.hpp"

namespace cuda_emulator {

class Image;

/// Fills in `program`. Throws a PtxError that names the instruction and its source line.
void decode(const Module& module, const Function& function, Image& image, Program& program);

/// The names of one function (registers, variables, labels, constants) and the slots that they get.
class SymbolTable {
 public:
  SymbolTable(Image& image, Program& program) : image_(image), program_(program) { open_scope(); }

  void open_scope() { scopes_.emplace_back(); }
  void close_scope() { scopes_.pop_back(); }
  void add_registers(std::string_view name, int count);
  void add_kernel_parameters(const std::vector<Variable>& parameters);
  /// Adds a parameter or result of a function, or a `.param` variable of its body. All of them lie in its
  /// frame.
  Place add_frame_variable(const Variable& variable);
  void add_shared(const Variable& variable);
  void add_local(const Variable& variable);

  Slot new_slot() { return program_.slots++; }
  Slot constant(std::uint64_t bits);
  /// Returns the slot that holds the register, the special register, or the variable's address plus `offset`.
  Slot slot_of(std::string_view name, std::uint64_t offset);
  Place frame_place(std::string_view name) const;

 private:
  struct Symbol {
    enum class Kind { slot, address, dynamic_shared, local, frame } kind;
    std::uint64_t value = 0;
    std::uint32_t bytes = 0;
  };
  const Symbol* find(std::string_view name) const;
  Slot special(Special special, std::uint64_t offset);
  Slot slot_of(const Symbol& symbol, std::uint64_t offset);

  Image& image_;
  Program& program_;
  std::vector<std::map<std::string, Symbol, std::less<>>> scopes_;
  std::map<std::uint64_t, Slot> constants_;
  std::map<std::pair<Special, std::uint64_t>, Slot> specials_;
};

}  // namespace cuda_emulator
