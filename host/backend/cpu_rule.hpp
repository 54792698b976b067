// cpu_rule.hpp - the seam between the host and the CPU loops of a rule.
#pragma once

#include <array>
#include <cstdint>

#include "host/cpu/codecs/stores.hpp"
#include "onepass/cpu.hpp"
#include "onepass/storage/formats.hpp"
#include "step/table.hpp"

namespace onepass::cpu {

/// Updates the chunks [first, last) of the table, in the calling thread. All must have the format that the
/// loop is for.
using UpdateLoop = void (*)(const step::Table& table, std::int64_t first, std::int64_t last, Stores stores);

/// The loops of one variant, one for each of storage::Formats.
using VariantLoops = std::array<UpdateLoop, storage::kFormatCount>;

/// The loops of a rule for one instruction set: an array in the order of Rule::Variants. Its definitions are
/// in generated files, one for each rule and instruction set: onepass_add_rule() (cmake/OnepassRule.cmake)
/// makes them from host/cpu/loops/update.cpp.in.
template <class Rule, Isa kIsa>
const VariantLoops* update_loops();

}  // namespace onepass::cpu
