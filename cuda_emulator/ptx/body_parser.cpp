// body_parser.cpp - parses the statements of one function body.
#include <compare>
#include <map>

#include "ptx/parser.hpp"

namespace cuda_emulator {
namespace {

struct Position {
  int file = 0;
  int line = 0;
  int column = 0;
  auto operator<=>(const Position&) const = default;
};

Position read_position(Lexer& lexer) {
  Position position;
  position.file = static_cast<int>(lexer.integer());
  position.line = static_cast<int>(lexer.integer());
  position.column = static_cast<int>(lexer.integer());
  return position;
}

class BodyParser {
 public:
  BodyParser(const Module& module, std::size_t offset) : lexer_(module.text, offset) {}

  std::vector<BodyItem> run() {
    for (int depth = 1; depth > 0;) {
      if (lexer_.accept("{")) {
        ++depth;
        add(BodyItem::Kind::open_scope);
      } else if (lexer_.accept("}")) {
        --depth;
        add(BodyItem::Kind::close_scope);
      } else {
        item();
      }
    }
    return std::move(items_);
  }

 private:
  BodyItem& add(BodyItem::Kind kind) {
    items_.push_back({});
    items_.back().kind = kind;
    return items_.back();
  }

  void item() {
    const Token first = lexer_.next();
    if (first.kind == Token::Kind::end) lexer_.fail("function without an end");
    if (first.is("@")) {
      guarded_statement(first.offset);
    } else if (first.text.front() == '.') {
      directive(first.text);
    } else if (lexer_.accept(":")) {
      add(BodyItem::Kind::label).name = first.text;
    } else {
      statement(first.text, first.offset, {}, false);
    }
  }

  void directive(std::string_view word) {
    if (word == ".loc") {
      location();
    } else if (word == ".reg" || word.starts_with(".reg.")) {
      if (word == ".reg") lexer_.word();  // Skips the type, because every register is a 64-bit slot here.
      registers();
    } else if (word == ".shared" || word == ".local" || word == ".param") {
      const Space space = word == ".shared" ? Space::shared : word == ".local" ? Space::local : Space::param;
      add(BodyItem::Kind::variable).variable = parse_variable(lexer_, space);
      lexer_.expect(";");
    } else if (word == ".pragma") {
      while (!lexer_.accept(";")) lexer_.next();
    } else {
      lexer_.fail("unknown directive '" + std::string(word) + "' in a function");
    }
  }

  void location() {
    const Position position = read_position(lexer_);
    const std::string_view rest = lexer_.rest_of_line();  // ", function_name $L, inlined_at 1 60 3"
    SourceLine here{position.file, position.line, {}};
    constexpr std::string_view kInlined = "inlined_at";
    if (const std::size_t found = rest.find(kInlined); found != std::string_view::npos) {
      // An earlier .loc describes the call itself, with its own caller if it was inlined too.
      Lexer lexer(rest.substr(found + kInlined.size()));
      const Position caller = read_position(lexer);
      here.callers = callers_[caller];
      here.callers.insert(here.callers.begin(), {caller.file, caller.line});
    }
    callers_[position] = here.callers;
    // Line 0 marks code that the compiler added. The previous line tells the reader more, so it stays.
    if (here.line != 0) source_ = std::move(here);
  }

  void registers() {
    do {
      BodyItem& item = add(BodyItem::Kind::registers);
      item.name = lexer_.word();
      if (lexer_.accept("<")) {
        item.count = static_cast<int>(lexer_.integer());
        lexer_.expect(">");
      }
    } while (lexer_.accept(","));
    lexer_.expect(";");
  }

  void guarded_statement(std::size_t begin) {
    const bool negated = lexer_.accept("!");
    const std::string_view guard = lexer_.word();
    statement(lexer_.word(), begin, guard, negated);
  }

  void statement(std::string_view word, std::size_t begin, std::string_view guard, bool negated) {
    Statement& out = add(BodyItem::Kind::statement).statement;
    out.guard = guard;
    out.guard_negated = negated;
    out.source = source_;
    const std::size_t dot = word.find('.');
    out.opcode = word.substr(0, dot);
    while (!word.empty() && word.find('.') != std::string_view::npos) {
      word.remove_prefix(word.find('.') + 1);
      out.modifiers.push_back(word.substr(0, word.find('.')));
    }
    while (!lexer_.peek().is(";")) {
      out.operands.push_back(operand());
      if (!lexer_.accept(",")) break;
    }
    const std::size_t end = lexer_.expect(";").offset;
    out.text = lexer_.text().substr(begin, end - begin);
  }

  Operand operand() {
    if (lexer_.accept("{")) return list("}");
    if (lexer_.accept("(")) return list(")");
    if (lexer_.accept("[")) return address();
    Operand out;
    out.negated = lexer_.accept("!");
    const bool minus = lexer_.accept("-");
    const Token token = lexer_.next();
    if (token.kind == Token::Kind::number) {
      out.kind = Operand::Kind::literal;
      out.bits = parse_literal(lexer_, token.text);
      if (minus) out.bits = 0 - out.bits;
      return out;
    }
    if (token.kind != Token::Kind::word) lexer_.fail("bad operand '" + std::string(token.text) + "'");
    out.kind = Operand::Kind::name;
    out.name = token.text;
    if (lexer_.accept("|")) out.second = lexer_.word();
    if (lexer_.accept("+")) out.bits = static_cast<std::uint64_t>(lexer_.integer());
    return out;
  }

  Operand address() {
    Operand out = operand();
    if (out.kind == Operand::Kind::literal) out.name = {};
    if (lexer_.accept("-")) out.bits = 0 - static_cast<std::uint64_t>(lexer_.integer());
    lexer_.expect("]");
    out.kind = Operand::Kind::address;
    return out;
  }

  Operand list(std::string_view close) {
    Operand out;
    out.kind = Operand::Kind::list;
    while (!lexer_.accept(close)) {
      out.items.push_back(operand());
      lexer_.accept(",");
    }
    return out;
  }

  Lexer lexer_;
  SourceLine source_;
  std::map<Position, std::vector<SourceLine::Caller>> callers_;
  std::vector<BodyItem> items_;
};

}  // namespace

std::vector<BodyItem> parse_body(const Module& module, const Function& function) {
  if (!function.has_body) throw PtxError("function " + std::string(function.name) + " has no body");
  return BodyParser(module, function.body_offset).run();
}

}  // namespace cuda_emulator
