// random.hpp - the CPU loops that draw random bits. They are compiled once for each instruction set; the
// widest one that the machine has is chosen at run time.
#pragma once

#include <cstdint>

#include "onepass/cpu.hpp"
#include "step/random_jobs.hpp"

namespace onepass::cpu {

/// Columns that a reflection works on at once: the rows of a tile have this many doubles. A tile of 4,096
/// rows then has 256 KiB, which a second-level cache holds (4096 x 1024 on one core with AVX2: 3.0 s,
/// against 7.6 s with 16 columns).
inline constexpr int kTileColumns = 8;

/// A Householder reflection: tile = tile - scale * v (v^T tile), where v is `vector` and has `rows` elements.
struct Reflection {
  const double* vector;
  double scale;
  std::int64_t rows;
};

/// The loops for one instruction set. Each runs in the calling thread, in the default float environment.
struct RandomLoops {
  void (*fill)(const step::FillJob& job);
  void (*dropout)(const step::DropoutJob& job);
  void (*reflect)(const Reflection& reflection, double* tile);
};

/// The loops for one instruction set. Defined in generated files only, one for each instruction set: CMake
/// makes them from host/cpu/loops/random.cpp.in.
template <Isa kIsa>
const RandomLoops& random_loops();

/// The loops of best_isa(). Throws InvalidArgument if ONEPASS_ISA names a level that this machine does not
/// have.
const RandomLoops& best_random_loops();

/// Do a whole job, on as many threads as pay for it.
void fill(const step::FillJob& job);
void dropout(const step::DropoutJob& job);

}  // namespace onepass::cpu
