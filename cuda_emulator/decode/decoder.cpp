// decoder.cpp - turns the parsed text of a function into the program that the machine runs.
#include "decode/decoder.hpp"

#include "decode/image.hpp"
#include "machine/block.hpp"

namespace cuda_emulator {
namespace {

class Decoder {
 public:
  Decoder(const Module& module, const Function& function, Image& image, Program& program)
      : module_(module), function_(function), image_(image), program_(program), symbols_(image, program) {}

  void run() {
    program_.name = function_.name;
    program_.max_threads = function_.max_threads;
    if (function_.is_entry) {
      symbols_.add_kernel_parameters(function_.parameters);
    } else {
      for (const Variable& result : function_.returns)
        program_.returns.push_back(symbols_.add_frame_variable(result));
      for (const Variable& parameter : function_.parameters) {
        program_.parameters.push_back(symbols_.add_frame_variable(parameter));
      }
    }
    for (const BodyItem& body_item : parse_body(module_, function_)) item(body_item);
    append_return();
    for (const auto& [instruction, label] : branches_) {
      const auto target = labels_.find(label);
      if (target == labels_.end()) throw PtxError("unknown label " + std::string(label));
      program_.code[instruction].target = target->second;
    }
  }

 private:
  void item(const BodyItem& item) {
    switch (item.kind) {
      case BodyItem::Kind::open_scope:
        symbols_.open_scope();
        break;
      case BodyItem::Kind::close_scope:
        symbols_.close_scope();
        break;
      case BodyItem::Kind::registers:
        symbols_.add_registers(item.name, item.count);
        break;
      case BodyItem::Kind::variable:
        variable(item.variable);
        break;
      case BodyItem::Kind::label:
        labels_[item.name] = static_cast<std::uint32_t>(program_.code.size());
        break;
      case BodyItem::Kind::statement:
        try {
          statement(item.statement);
        } catch (const PtxError& error) {
          throw located(item.statement, error.what());
        }
        break;
    }
  }

  void variable(const Variable& variable) {
    if (variable.space == Space::param) {
      symbols_.add_frame_variable(variable);
    } else if (variable.space == Space::local) {
      symbols_.add_local(variable);
    } else if (function_.is_entry) {
      symbols_.add_shared(variable);
    } else {
      throw PtxError("shared variable in a function that was not inlined: " + std::string(function_.name));
    }
  }

  PtxError located(const Statement& statement, const std::string& what) const {
    const Site site{&program_, statement.source, statement.text};
    return PtxError("`" + std::string(statement.text) + "` in " + std::string(function_.name) + ", at " +
                    describe_source(site) + ": " + what);
  }

  void statement(const Statement& statement) {
    Instruction out;
    if (!statement.guard.empty()) {
      out.guard = symbols_.slot_of(statement.guard, 0);
      out.guard_wanted = !statement.guard_negated;
    }
    out.site = Sites::instance().add({&program_, statement.source, statement.text});
    if (statement.opcode == "mov") {
      move(statement, out);
      return;
    }
    Selection selection{statement.opcode, Modifiers(statement.modifiers), out};
    if (!select(selection)) throw PtxError("unknown instruction");
    if (!selection.modifiers.first().empty()) {
      throw PtxError("unknown modifier ." + std::string(selection.modifiers.first()));
    }
    count_as(statement.opcode, out.counted);
    operands(statement, selection, out);
    program_.code.push_back(out);
  }

  /// Marks the instructions that take many times as long as others on a device. Memory accesses are marked by
  /// their own selection.
  static void count_as(std::string_view opcode, Counted& counted) {
    if (opcode == "div" || opcode == "rcp") counted.kind = Counted::Kind::division;
    if (opcode == "sqrt" || opcode == "rsqrt") counted.kind = Counted::Kind::root;
  }

  static bool select(Selection& selection) {
    constexpr bool (*kSelectors[])(Selection&) = {
        select_transcendental, select_float,  select_half,   select_integer, select_bits, select_convert,
        select_compare,        select_memory, select_atomic, select_control, select_warp};
    for (const auto selector : kSelectors) {
      if (selector(selection)) return true;
    }
    return false;
  }

  void operands(const Statement& statement, const Selection& selection, Instruction& out) {
    const std::vector<Operand>& operands = statement.operands;
    switch (selection.layout) {
      case Layout::registers:
        registers(operands, out);
        break;
      case Layout::load:
      case Layout::store:
        load_or_store(operands, selection, out);
        break;
      case Layout::atomic:
      case Layout::reduction:
        atomic(operands, selection.layout == Layout::atomic, out);
        break;
      case Layout::branch:
        expect(operands, 1);
        branches_.emplace_back(program_.code.size(), operands[0].name);
        break;
      case Layout::call:
        call(operands, out);
        break;
      case Layout::sources:
        sources(operands, 0, out);
        if (operands.size() > 1) out.options |= kBarrierCounted;
        break;
      case Layout::barrier_reduction:
        registers(operands, out);
        if (operands.size() == 4) out.options |= kBarrierCounted;  // d, barrier, threads, p
        break;
      case Layout::ignored:
        break;
    }
  }

  void load_or_store(const std::vector<Operand>& operands, const Selection& selection, Instruction& out) {
    expect(operands, 2);
    const bool load = selection.layout == Layout::load;
    const Operand& value_operand = operands[load ? 0 : 1];
    address(operands[load ? 1 : 0], out);
    if (selection.vector_size > 0) {
      items(value_operand, selection.vector_size, out);
    } else if (load) {
      out.dst = destination(value_operand.name);
    } else {
      out.b = value(value_operand, out);
    }
  }

  static void expect(const std::vector<Operand>& operands, std::size_t count) {
    if (operands.size() != count) throw PtxError("expected " + std::to_string(count) + " operands");
  }

  void registers(const std::vector<Operand>& operands, Instruction& out) {
    if (operands.empty()) return;
    out.dst = destination(operands[0].name);
    if (!operands[0].second.empty()) out.dst2 = destination(operands[0].second);
    sources(operands, 1, out);
  }

  void sources(const std::vector<Operand>& operands, std::size_t first, Instruction& out) {
    Slot* const slots[] = {&out.a, &out.b, &out.c, &out.d};
    if (operands.size() > first + 4) throw PtxError("too many operands");
    for (std::size_t k = first; k < operands.size(); ++k) *slots[k - first] = value(operands[k], out);
  }

  Slot destination(std::string_view name) {
    if (name == "_") return kSinkSlot;
    return symbols_.slot_of(name, 0);
  }

  void items(const Operand& operand, std::size_t count, Instruction& out) {
    if (operand.items.size() != count) throw PtxError("expected a vector of " + std::to_string(count));
    for (std::size_t k = 0; k < count; ++k) {
      const Operand& item = operand.items[k];
      out.items[k] = item.name == "_" ? kSinkSlot : value(item, out);
    }
  }

  void address(const Operand& operand, Instruction& out) {
    if (operand.kind != Operand::Kind::address) throw PtxError("expected an address");
    out.offset = operand.bits;
    if (operand.name.empty()) {
      out.a = symbols_.constant(0);
    } else {
      out.a = symbols_.slot_of(operand.name, 0);
    }
  }

  void atomic(const std::vector<Operand>& operands, bool with_result, Instruction& out) {
    const std::size_t first = with_result ? 1 : 0;
    if (operands.size() < first + 2) throw PtxError("too few operands");
    if (with_result) out.dst = destination(operands[0].name);
    address(operands[first], out);
    out.b = value(operands[first + 1], out);
    if (operands.size() > first + 2) out.c = value(operands[first + 2], out);
  }

  /// Returns the slot of a source operand. For `!p` it adds an instruction that inverts the predicate.
  Slot value(const Operand& operand, const Instruction& user) {
    if (operand.kind == Operand::Kind::literal) return symbols_.constant(operand.bits);
    if (operand.kind != Operand::Kind::name) throw PtxError("unexpected kind of operand");
    const Slot slot = symbols_.slot_of(operand.name, operand.bits);
    if (!operand.negated) return slot;
    Instruction invert;
    invert.run = invert_handler();
    invert.a = slot;
    invert.dst = symbols_.new_slot();
    invert.site = user.site;
    program_.code.push_back(invert);
    return invert.dst;
  }

  void move(const Statement& statement, Instruction& out) {
    expect(statement.operands, 2);
    const Operand& to = statement.operands[0];
    const Operand& from = statement.operands[1];
    Modifiers modifiers(statement.modifiers);
    const int bytes = size_of(modifiers.take_type());
    if (to.kind == Operand::Kind::list) {
      out.run = unpack_handler(bytes, static_cast<int>(to.items.size()));
      out.a = value(from, out);
      items(to, to.items.size(), out);
    } else if (from.kind == Operand::Kind::list) {
      out.run = pack_handler(bytes, static_cast<int>(from.items.size()));
      items(from, from.items.size(), out);
      out.dst = destination(to.name);
    } else {
      const bool clock = from.name.starts_with("%clock") || from.name.starts_with("%globaltimer");
      out.run = clock ? clock_handler() : move_handler();
      if (!clock) out.a = value(from, out);
      out.dst = destination(to.name);
    }
    if (out.run == nullptr || !modifiers.first().empty()) throw PtxError("unknown form of mov");
    program_.code.push_back(out);
  }

  void call(const std::vector<Operand>& operands, Instruction& out) {
    Call call;
    std::string_view callee;
    for (const Operand& operand : operands) {
      if (operand.kind != Operand::Kind::list) {
        callee = operand.name;
        continue;
      }
      auto& places = callee.empty() ? call.results : call.arguments;
      for (const Operand& item : operand.items) places.push_back(symbols_.frame_place(item.name));
    }
    if (const Handler builtin = builtin_handler(callee)) {
      out.run = builtin;
    } else {
      call.callee = &image_.program(callee);
    }
    out.target = static_cast<std::uint32_t>(program_.calls.size());
    program_.calls.push_back(std::move(call));
  }

  void append_return() {
    Instruction out;
    Selection selection{"ret", Modifiers({}), out};
    select_control(selection);
    out.site = Sites::instance().add({&program_, {}, "(end of function)"});
    program_.code.push_back(out);
  }

  const Module& module_;
  const Function& function_;
  Image& image_;
  Program& program_;
  SymbolTable symbols_;
  std::map<std::string_view, std::uint32_t> labels_;
  std::vector<std::pair<std::size_t, std::string_view>> branches_;
};

}  // namespace

void decode(const Module& module, const Function& function, Image& image, Program& program) {
  Decoder(module, function, image, program).run();
}

}  // namespace cuda_emulator
