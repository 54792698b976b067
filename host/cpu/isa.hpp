// isa.hpp - which loops an instruction set level takes.
#pragma once

#include "onepass/cpu.hpp"

namespace onepass::cpu {

/// The level that they are compiled for: to round to bfloat16 is one instruction more, asked for at run time.
inline Isa loops_of(Isa isa) { return isa == Isa::avx512_bf16 ? Isa::avx512 : isa; }

}  // namespace onepass::cpu
