// rivals.hpp - the loops that are timed beside onepass, on the same memory.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "bench/case.hpp"
#include "bench/data/model.hpp"
#include "bench/harness/interleave.hpp"

namespace onepass::bench {

inline constexpr const char* kOnepass = "onepass";
inline constexpr const char* kGraph = "graph";  ///< A step of onepass, captured once and replayed.
inline constexpr const char* kLimit = "limit";  ///< Moves the same streams and computes nothing.
inline constexpr const char* kCopy = "copy";    ///< Copies as many bytes as a step moves.
// Baselines, of cases that have them (Case::has_baselines):
inline constexpr const char* kScalar = "scalar";    ///< The rule as a plain loop, not vectorised.
inline constexpr const char* kUnfused = "unfused";  ///< BLAS calls and elementwise passes.

/// The content of the memory after a rival has run.
enum class Leaves : unsigned char {
  memory_as_it_was,  ///< Unchanged, except for streams that a step writes without reading.
  the_step,          ///< The result of a step, bit for bit.
  the_step_rounded,  ///< The result of a step up to rounding: the operations are in another order.
};

struct Rival {
  Contestant contestant;
  Leaves leaves;
};

/// The step number whose coefficients the baselines use. By then the states are no longer zero.
inline constexpr int kBaselineStep = 3;

/// The case and the memory that rivals work on.
struct Scene {
  const Case& measured;
  std::span<const TensorStreams> streams;  ///< One for each tensor.
  double traffic;                          ///< Bytes that a step moves; the size of the copy follows from it.
};

/// Owns the memory that its rivals need. The rivals refer to it and to the scene's streams.
class Rivals {
 public:
  virtual ~Rivals() = default;
  [[nodiscard]] virtual std::vector<Rival> all() = 0;
};

/// Limit, copy and, for cases that have them, the baselines, on the threads of onepass's own pool.
std::unique_ptr<Rivals> cpu_rivals(const Scene& scene);
#ifdef ONEPASS_BENCH_CUDA
/// Limit, copy and, for cases with baselines, the unfused step made of cuBLAS calls and Thrust transforms.
std::unique_ptr<Rivals> cuda_rivals(const Scene& scene);
#endif

}  // namespace onepass::bench
