// parser.hpp - functions that the module parser and the body parser share.
#pragma once

#include <vector>

#include "ptx/lexer.hpp"
#include "ptx/module.hpp"

namespace cuda_emulator {

/// Reads `.align 4 .b8 name[16] = {1, 2}` up to, not including, the `;` `,` or `)` that ends it.
Variable parse_variable(Lexer& lexer, Space space);
/// Reads `(.param .b64 a, .param .f32 b)`. Reads nothing if there is no parenthesis.
std::vector<Variable> parse_parameters(Lexer& lexer);
/// Returns the bits of a PTX number: decimal, hexadecimal, 0f3F800000 or 0d3FF0000000000000.
std::uint64_t parse_literal(Lexer& lexer, std::string_view text);

}  // namespace cuda_emulator
