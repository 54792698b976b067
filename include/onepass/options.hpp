// options.hpp - what an optimizer is made with, besides rules and parameters.
#pragma once

#include <cstdint>
#include <optional>

#include "onepass/cpu.hpp"
#include "onepass/ema.hpp"
#include "onepass/regularizers/lookahead.hpp"
#include "onepass/storage/storage.hpp"
#include "onepass/threads.hpp"

namespace onepass {

/// Options of an optimizer. Only the storages, `seed`, `ema` and `lookahead` change the
/// result.
struct Options {
  /// Most elements of a chunk, a multiple of 64; 0: chosen for the device. More than 2^31 count as 2^31.
  std::int64_t chunk_size = 0;
  int threads = 0;  ///< CPU: largest number of threads, up to 1024; 0: ONEPASS_THREADS, or all processors.
  Isa isa = Isa::best;           ///< CPU: instruction set; best: ONEPASS_ISA, or the widest available.
  Storage storage = {};          ///< Master, states and rounding of 16-bit parameters.
  Storage float32_storage = {};  ///< States, and their rounding, of float32 parameters: they have no master.
  std::uint64_t seed = 0;        ///< Seed of stochastic rounding.
  std::optional<EMA> ema = std::nullopt;              ///< If set, keeps a moving average of each parameter.
  std::optional<Lookahead> lookahead = std::nullopt;  ///< If set, keeps slow weights of each parameter.
  bool accumulates_gradients = false;  ///< Keeps a float32 gradient sum per parameter, for accumulate().
  Pool pool = Pool::best;  ///< CPU: whose threads step; best: ONEPASS_POOL, or OpenMP's if it is loaded.
  ParallelFor parallel_for = {};  ///< CPU: if set, steps run on its threads, `threads` of them.
};

}  // namespace onepass
