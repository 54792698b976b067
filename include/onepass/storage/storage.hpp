// storage.hpp - how an optimizer keeps what belongs to 16-bit parameters.
#pragma once

#include <cstdint>

namespace onepass {

/// The float32 that a step moves, where a parameter has 16 bits.
enum class Master : std::uint8_t {
  none,        ///< The parameter itself: each step rounds it.
  float32,     ///< A copy in float32, 4 bytes.
  split,       ///< The 16 bits that a bfloat16 lacks, 2 bytes: the two halves are the exact float32.
  remainder8,  ///< 8 of them, 1 byte: 24 bits in all.
};

/// How a rule's states are kept.
enum class States : std::uint8_t {
  float32,     ///< 4 bytes each.
  bfloat16,    ///< 2 bytes each, rounded as Rounding says.
  quantized8,  ///< 1 byte each, and 2 for every 32 of them; always dithered (storage/quantized8.hpp).
};

/// How a 16-bit parameter without a master is rounded, and its states where they are of bfloat16.
enum class Rounding : std::uint8_t {
  nearest,  ///< To the nearest, ties to even. Steps smaller than half an ulp of the parameter are lost, and
            ///< averages of a beta above 0.996 (1 - 2^-8) do not decay.
  stochastic,  ///< To either neighbour, the mean being exact: small steps count on average.
};

/// What belongs to 16-bit parameters. Float32 parameters beside them are their own master and keep float32
/// states. A master, or states other than float32, in an optimizer of float32 parameters alone is refused.
struct Storage {
  Master master = Master::none;
  States states = States::float32;
  Rounding rounding = Rounding::nearest;  ///< Acts where master is none.

  bool operator==(const Storage&) const = default;
};

}  // namespace onepass
