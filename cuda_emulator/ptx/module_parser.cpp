// module_parser.cpp - parses the directives outside function bodies, and variables everywhere.
#include <charconv>
#include <cstdlib>

#include "ptx/parser.hpp"

namespace cuda_emulator {
namespace {

std::optional<Space> space_of_directive(std::string_view word) {
  if (word == ".shared") return Space::shared;
  if (word == ".global") return Space::global;
  if (word == ".const") return Space::constant;
  if (word == ".local") return Space::local;
  return std::nullopt;
}

Variable::Initializer parse_initializer(Lexer& lexer) {
  Variable::Initializer value;
  const bool negative = lexer.accept("-");
  const Token token = lexer.next();
  if (token.kind == Token::Kind::number) {
    value.bits = parse_literal(lexer, token.text);
    if (negative) value.bits = 0 - value.bits;
    return value;
  }
  const bool generic = token.is("generic");
  if (generic) lexer.expect("(");
  value.symbol = generic ? lexer.word() : token.text;
  if (generic) lexer.expect(")");
  if (lexer.accept("+")) value.bits = static_cast<std::uint64_t>(lexer.integer());
  return value;
}

void parse_initializers(Lexer& lexer, Variable& variable) {
  if (!lexer.accept("{")) {
    variable.initializers.push_back(parse_initializer(lexer));
    return;
  }
  // Nested braces of a multi-dimensional array only group values that are consecutive in memory.
  for (int depth = 1; depth > 0;) {
    if (lexer.accept("{")) {
      ++depth;
    } else if (lexer.accept("}")) {
      --depth;
    } else if (!lexer.accept(",")) {
      variable.initializers.push_back(parse_initializer(lexer));
    }
  }
}

class ModuleParser {
 public:
  explicit ModuleParser(Module& module) : module_(module), lexer_(module.text) {}

  void run() {
    while (lexer_.peek().kind != Token::Kind::end) directive();
  }

 private:
  void directive() {
    const std::string_view word = lexer_.word();
    if (word == ".extern" || word == ".weak" || word == ".common" || word == ".visible") {
      external_ = external_ || word == ".extern";
      return;
    }
    if (const auto space = space_of_directive(word)) {
      module_.variables.push_back(parse_variable(lexer_, *space));
      module_.variables.back().external = external_;
      lexer_.expect(";");
    } else if (word == ".entry" || word == ".func") {
      function(word == ".entry");
    } else if (word == ".file") {
      const int number = static_cast<int>(lexer_.integer());
      module_.files[number] = lexer_.next().text;
      lexer_.rest_of_line();
    } else if (word == ".section") {
      while (!lexer_.accept("{")) lexer_.next();
      lexer_.skip_block();
    } else if (word == ".version" || word == ".target" || word == ".address_size") {
      lexer_.rest_of_line();
    } else if (word == ".alias" || word == ".pragma") {
      while (!lexer_.accept(";")) lexer_.next();
    } else {
      lexer_.fail("unknown directive '" + std::string(word) + "'");
    }
    external_ = false;
  }

  void function(bool is_entry) {
    Function function;
    function.is_entry = is_entry;
    if (!is_entry) function.returns = parse_parameters(lexer_);
    function.name = lexer_.word();
    function.parameters = parse_parameters(lexer_);
    // Performance directives (.maxntid 256, 1, 1) come between the parameters and the body.
    while (!lexer_.peek().is("{") && !lexer_.peek().is(";")) {
      if (lexer_.next().is(".maxntid")) function.max_threads = parse_max_threads();
    }
    if (lexer_.next().is("{")) {
      function.has_body = true;
      function.body_offset = lexer_.position();
      lexer_.skip_block();
    }
    Function& known = module_.functions[function.name];
    if (!known.has_body) known = std::move(function);
  }

  std::uint64_t parse_max_threads() {
    auto threads = static_cast<std::uint64_t>(lexer_.integer());
    while (lexer_.accept(",")) threads *= static_cast<std::uint64_t>(lexer_.integer());
    return threads;
  }

  Module& module_;
  Lexer lexer_;
  bool external_ = false;
};

}  // namespace

std::uint64_t parse_literal(Lexer& lexer, std::string_view text) {
  const bool hexadecimal_float =
      text.size() > 2 && text[0] == '0' && std::string_view("fFdD").find(text[1]) != std::string_view::npos;
  const bool hexadecimal = text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  if (!hexadecimal && !hexadecimal_float && text.find('.') != std::string_view::npos) {
    lexer.fail("decimal floating-point literal " + std::string(text) + " is not supported");
  }
  std::string_view digits = text.substr(hexadecimal || hexadecimal_float ? 2 : 0);
  if (digits.ends_with('U')) digits.remove_suffix(1);
  const bool octal = !hexadecimal && !hexadecimal_float && digits.size() > 1 && digits[0] == '0';
  const int base = hexadecimal || hexadecimal_float ? 16 : octal ? 8 : 10;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value, base);
  if (error != std::errc{} || end != digits.end()) lexer.fail("bad literal " + std::string(text));
  return value;
}

Variable parse_variable(Lexer& lexer, Space space) {
  Variable variable;
  variable.space = space;
  std::uint64_t elements = 1;
  for (std::string_view word = lexer.word();; word = lexer.word()) {
    if (word == ".align") {
      variable.alignment = static_cast<std::uint64_t>(lexer.integer());
    } else if (word == ".v2" || word == ".v4") {
      elements = word == ".v2" ? 2 : 4;
    } else if (word.front() != '.') {
      variable.name = word;
      break;
    } else if (const Type type = parse_type(word.substr(1)); type != Type::none) {
      variable.type = type;
    }  // .ptr, .global and the like only annotate a pointer parameter.
  }
  while (lexer.accept("[")) {
    variable.open = lexer.peek().is("]");
    if (!variable.open) elements *= static_cast<std::uint64_t>(lexer.integer());
    lexer.expect("]");
  }
  if (lexer.accept("=")) parse_initializers(lexer, variable);
  const auto size = static_cast<std::uint64_t>(size_of(variable.type));
  variable.bytes = variable.open ? 0 : elements * size;
  variable.alignment = std::max(variable.alignment, size);
  return variable;
}

std::vector<Variable> parse_parameters(Lexer& lexer) {
  std::vector<Variable> parameters;
  if (!lexer.accept("(")) return parameters;
  while (!lexer.accept(")")) {
    const std::string_view word = lexer.word();
    if (word != ".param" && word != ".reg") lexer.fail("expected a parameter, got " + std::string(word));
    parameters.push_back(parse_variable(lexer, Space::param));
    lexer.accept(",");
  }
  return parameters;
}

std::unique_ptr<Module> parse_module(std::string text) {
  auto module = std::make_unique<Module>();
  module->text = std::move(text);
  ModuleParser(*module).run();
  return module;
}

}  // namespace cuda_emulator
