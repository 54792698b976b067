// cpu_rule.hpp - the seam between the host and the CPU loops of a rule.
#pragma once

#include <array>
#include <cstdint>

#include "host/cpu/codecs/stores.hpp"
#include "onepass/cpu.hpp"
#include "onepass/storage/formats.hpp"
#include "step/table.hpp"

namespace onepass::cpu {

/// Updates the chunks [first, last) of the table, in the calling thread.
using Sweep = void (*)(const step::Table& table, std::int64_t first, std::int64_t last, Stores stores);

/// The loops of one variant, one for each of storage::Formats.
using SweepsOfVariant = std::array<Sweep, storage::kFormatCount>;

/// The loops of a rule for one instruction set, in the order of Rule::Variants. Specialised in one small .cpp
/// for each rule and instruction set.
template <class Rule, Isa kIsa>
const SweepsOfVariant* sweeps();

}  // namespace onepass::cpu
