// rivals.hpp - what is timed beside onepass, on the same memory.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "bench/case.hpp"
#include "bench/data/model.hpp"
#include "bench/harness/interleave.hpp"

namespace onepass::bench {

inline constexpr const char* kOnepass = "onepass";
inline constexpr const char* kGraph = "graph";      ///< onepass's step, captured once and replayed.
inline constexpr const char* kLimit = "limit";      ///< Moves the same streams.
inline constexpr const char* kCopy = "copy";        ///< Copies memory, as many bytes in all.
inline constexpr const char* kScalar = "scalar";    ///< The loop by hand, not vectorised; float32 only.
inline constexpr const char* kUnfused = "unfused";  ///< BLAS and passes; float32 only.

/// What a rival leaves behind.
enum class Leaves : unsigned char {
  memory_as_it_was,  ///< But for what is only written.
  the_step,          ///< To the bit.
  the_step_rounded,  ///< In another order, so with other roundings.
};

struct Rival {
  Contestant contestant;
  Leaves leaves;
};

/// Step of the optimizer whose coefficients baselines use: their states are then no longer zero.
inline constexpr int kBaselineStep = 3;

/// What rivals work on.
struct Scene {
  const Case& measured;
  std::span<const TensorStreams> streams;  ///< One a tensor.
  double traffic;                          ///< Bytes of a step, by which the copy is sized.
};

/// Owns what its rivals need; they refer to it and to the scene's streams.
class Rivals {
 public:
  virtual ~Rivals() = default;
  [[nodiscard]] virtual std::vector<Rival> all() = 0;
};

/// Limit, copy and, in float32, the baselines, on the threads that onepass steps on.
std::unique_ptr<Rivals> cpu_rivals(const Scene& scene);
#ifdef ONEPASS_BENCH_CUDA
/// Limit, copy and, in float32, the unfused step of cuBLAS calls and Thrust transforms.
std::unique_ptr<Rivals> cuda_rivals(const Scene& scene);
#endif

}  // namespace onepass::bench
