// random.hpp - the CPU loops that draw random bits: compiled once for each instruction set, the widest one
// that is there chosen at run time.
#pragma once

#include <cstdint>

#include "onepass/cpu.hpp"
#include "step/random_jobs.hpp"

namespace onepass::cpu {

/// Columns that a reflection moves at once: a tile is rows of so many doubles. 4,096 rows are then 256 KiB,
/// which a second-level cache holds (4096 x 1024 on one core with AVX2: 3.0 s, against 7.6 with 16 columns).
inline constexpr int kTileColumns = 8;

/// tile = tile - scale * v (v^T tile), on `rows` rows.
struct Reflection {
  const double* vector;
  double scale;
  std::int64_t rows;
};

/// What one instruction set offers. Each runs on the calling thread, in the default float environment.
struct RandomLoops {
  void (*fill)(const step::FillJob& job);
  void (*dropout)(const step::DropoutJob& job);
  void (*reflect)(const Reflection& reflection, double* tile);
};

/// One small generated file for each level (host/cpu/loops/random.cpp.in).
template <Isa kIsa>
const RandomLoops& random_loops();

/// The loops of best_isa(). Throws InvalidArgument if ONEPASS_ISA names none that is there.
const RandomLoops& best_random_loops();

/// The whole job, on as many threads as it pays.
void fill(const step::FillJob& job);
void dropout(const step::DropoutJob& job);

}  // namespace onepass::cpu
