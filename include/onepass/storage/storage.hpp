// storage.hpp - options for the masters, states and rounding of parameters.
#pragma once

#include <cstdint>

namespace onepass {

/// The master of a 16-bit parameter: the more precise number that steps update.
enum class Master : std::uint8_t {
  none,        ///< The parameter itself, which each step rounds.
  float32,     ///< A float32 copy, 4 bytes.
  split,       ///< The 16 bits that a bfloat16 lacks, 2 bytes. Together they are the exact float32.
  remainder8,  ///< 8 of these bits, 1 byte. Parameter and remainder have 24 bits together.
};

/// The storage of a rule's states, but for those that the rule itself keeps in float32 (rule/concept.hpp).
enum class States : std::uint8_t {
  float32,     ///< 4 bytes each.
  bfloat16,    ///< 2 bytes each, rounded as Rounding says.
  quantized8,  ///< 1 byte each, and 2 bytes for each block of 32; always dithered (storage/quantized8.hpp).
};

/// The rounding of 16-bit parameters without a master, and of bfloat16 states.
enum class Rounding : std::uint8_t {
  /// To nearest, ties to even. An update smaller than half an ulp of the parameter is lost, and averages with
  /// a beta above 0.996 (1 - 2^-8) do not decay.
  nearest,
  /// To one of the two neighbours, at random and with the exact mean, so small updates count on average.
  stochastic,
};

/// The storage of a parameter. A float32 parameter is its own master: it has Master::none and states of any
/// kind. A bfloat16 parameter has any master, a float16 parameter any but Master::split, and both have states
/// of any kind.
struct Storage {
  Master master = Master::none;
  States states = States::float32;
  Rounding rounding = Rounding::nearest;  ///< Of 16-bit parameters with Master::none, and of bfloat16 states.

  bool operator==(const Storage&) const = default;
};

}  // namespace onepass
