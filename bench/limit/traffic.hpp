// traffic.hpp - the limit: a loop that moves the bytes of a step and computes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "onepass/cpu.hpp"

namespace onepass::bench {

/// The memory of one tensor and of what belongs to it.
struct TensorStreams {
  static constexpr int kMaxStates = 3;

  std::byte* param = nullptr;
  std::byte* remainder = nullptr;  ///< Master or remainder; null without.
  std::byte* grad = nullptr;
  std::byte* states[kMaxStates] = {};
  std::byte* scales[kMaxStates] = {};  ///< Of quantised states; null without.
  std::int64_t numel = 0;
};

/// Reads each byte that a step reads and writes each byte that it writes, elements [begin, end) of a tensor,
/// begin and end multiples of 32 unless end is the tensor's. What is read and written is xor-ed with `zero`,
/// which is 0 where this is the limit: memory stays as it is, and no compiler knows. What is only written (a
/// parameter beside its float32 master) becomes `zero`. Returns all gradients' bits, or-ed.
using Traffic = std::uint32_t (*)(const TensorStreams& streams, std::int64_t begin, std::int64_t end,
                                  std::uint32_t zero);

/// What a loop's streams are like.
struct TrafficKind {
  std::size_t format;  ///< Index into storage::Formats.
  bool low_grad;       ///< Gradients of the parameter's type, else float32.
  int states;          ///< 0 to 3.
};

/// A table of loops: by format, by type of the gradients, by number of states.
struct TrafficTable {
  const Traffic* loops;
};
template <Isa kIsa>
TrafficTable traffic_table();

/// The loop for an instruction set that this machine has (not Isa::best).
Traffic traffic(Isa isa, const TrafficKind& kind);

}  // namespace onepass::bench
