// module.hpp - the parsed form of one PTX text: names and structure, with nothing resolved yet.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ptx/types.hpp"

namespace cuda_emulator {

/// A variable or a parameter.
struct Variable {
  std::string_view name;
  Space space = Space::global;
  Type type = Type::b8;
  std::uint64_t bytes = 0;
  std::uint64_t alignment = 1;
  bool open = false;      ///< `extern .shared x[]`: dynamic shared memory.
  bool external = false;  ///< Declared here and defined in another module.
  struct Initializer {
    std::uint64_t bits = 0;
    std::string_view symbol;  ///< The symbol whose address is added to `bits`; empty for a plain number.
  };
  std::vector<Initializer> initializers;
};

struct Operand {
  enum class Kind { none, name, literal, address, list };
  Kind kind = Kind::none;
  std::string_view name;       ///< Register, symbol or label; the base of an address.
  std::string_view second;     ///< The `p` of a destination `d|p`.
  std::uint64_t bits = 0;      ///< A literal, or the offset that an address or a symbol adds to its base.
  bool negated = false;        ///< `!p`
  std::vector<Operand> items;  ///< A vector `{a, b}`, or the arguments of a call.
};

struct Statement {
  std::string_view opcode;                  ///< "ld"
  std::vector<std::string_view> modifiers;  ///< "global", "f32"
  std::string_view guard;                   ///< Predicate of `@p` or `@!p`; empty if there is no guard.
  bool guard_negated = false;
  std::vector<Operand> operands;
  SourceLine source;
  std::string_view text;  ///< The statement as written, for reports.
};

/// One item of a function body. The items keep their order.
struct BodyItem {
  enum class Kind { open_scope, close_scope, registers, variable, label, statement };
  Kind kind;
  std::string_view name;  ///< Name of a label, or name or name prefix of registers.
  int count = 0;          ///< Registers `name0 .. name(count-1)`; 0 declares `name` itself.
  Variable variable;
  Statement statement;
};

struct Function {
  std::string_view name;
  bool is_entry = false;
  bool has_body = false;
  std::vector<Variable> parameters;
  std::vector<Variable> returns;
  std::uint64_t max_threads = 1024;  ///< Threads that a block may have, from __launch_bounds__.
  std::size_t body_offset = 0;       ///< Offset of the character after `{`, where the body starts.
};

struct Module {
  std::string text;
  std::vector<Variable> variables;
  std::map<std::string_view, Function> functions;
  std::map<int, std::string_view> files;
};

/// Reads the directives of a module and skims the bodies. Throws PtxError.
std::unique_ptr<Module> parse_module(std::string text);
/// Reads one body, when it is first needed. Throws PtxError.
std::vector<BodyItem> parse_body(const Module& module, const Function& function);

}  // namespace cuda_emulator
