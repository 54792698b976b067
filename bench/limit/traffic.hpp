// traffic.hpp - the limit: a loop that moves the bytes of a step and computes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "onepass/cpu.hpp"
#include "onepass/storage/formats.hpp"

namespace onepass::bench {

/// The addresses of one tensor's streams.
struct TensorStreams {
  static constexpr int kMaxStates = 4;  ///< As many as a rule may have.

  std::byte* param = nullptr;
  std::byte* remainder = nullptr;  ///< Master or remainder; null if the format has neither.
  std::byte* grad = nullptr;
  std::byte* states[kMaxStates] = {};
  std::byte* scales[kMaxStates] = {};  ///< Scales of 8-bit states; null for other states.
  std::int64_t numel = 0;
};

/// Reads each byte that a step reads and writes each byte that it writes, for elements [begin, end) of a
/// tensor. `begin` and `end` are multiples of 32, unless `end` is the size of the tensor. Streams that are
/// read and written are xor-ed with `zero`; a stream that is only written (a parameter with a float32 master)
/// becomes `zero`. The limit passes 0, which the compiler does not know, so the memory keeps its content.
/// Returns the bits of all gradients, or-ed.
using Traffic = std::uint32_t (*)(const TensorStreams& streams, std::int64_t begin, std::int64_t end,
                                  std::uint32_t zero);

/// The formats of storage::Formats that are measured, from the first one on: those with fused loops.
inline constexpr std::size_t kMeasuredFormats = storage::kFusedCount;

/// The properties of the streams that select a loop.
struct TrafficKind {
  std::size_t format;  ///< Index into storage::Formats, below kMeasuredFormats.
  bool low_grad;       ///< True if gradients have the parameter's 16-bit type, false if they are float32.
  int states;          ///< 0 to TensorStreams::kMaxStates.
};

/// A table of loops, indexed by format, then type of the gradients, then number of states.
struct TrafficTable {
  const Traffic* loops;
};
template <Isa kIsa>
TrafficTable traffic_table();

/// Returns the loop for `isa`, which must be available on this machine and not Isa::best.
Traffic traffic(Isa isa, const TrafficKind& kind);

}  // namespace onepass::bench
