// random_state.hpp - a seed and a count in the device's memory, which every mask of a training step is drawn
// from.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/device.hpp"
#include "onepass/stream.hpp"

namespace onepass {

/// What a RandomState holds, and all that need be saved of it.
struct RandomPosition {
  std::uint64_t seed = 0;
  std::int64_t offset = 0;  ///< Steps so far; >= 0.

  /// The key of Philox. The counter of a draw holds the offset's low 32 bits; the high ones are folded into
  /// the key, so that draws go on differing after 2^32 steps. It is the seed itself until then.
  [[nodiscard]] ONEPASS_LANE std::uint64_t key() const {
    return seed + (static_cast<std::uint64_t>(offset) >> 32) * 0x9E3779B97F4A7C15u;
  }
  /// The step of a draw's counter.
  [[nodiscard]] ONEPASS_LANE std::uint32_t step() const { return static_cast<std::uint32_t>(offset); }

  friend bool operator==(const RandomPosition&, const RandomPosition&) = default;
};

/// A seed and an offset in the memory of a device. Kernels read them when they run, so a captured graph that
/// holds an advance() draws new bits at every replay. Move-only; must live as long as what reads it.
class RandomState {
 public:
  /// Starts at `position`. Waits. Loads the kernels that read it, so that their first use can be captured.
  /// Throws InvalidArgument if there is no such device or the offset is negative, CudaError.
  RandomState(Device device, RandomPosition position);

  [[nodiscard]] Device device() const { return memory_.device(); }

  /// Adds 1 to the offset: one small launch, asynchronous on `stream`. Call it once a training step, after
  /// the backward pass, which needs the offset that the forward pass had. Throws CudaError.
  void advance(Stream stream = {});

  /// Seed and offset as they are once everything queued on `stream` is done. Waits for it. Throws CudaError.
  [[nodiscard]] RandomPosition saved(Stream stream = {}) const;

  /// Goes on from `position`. Asynchronous on `stream`; a captured graph follows at its next replay. Throws
  /// InvalidArgument if the offset is negative, CudaError.
  void restore(RandomPosition position, Stream stream = {});

  /// Where seed and offset lie, in the device's memory.
  [[nodiscard]] const RandomPosition* data() const { return memory_.as<const RandomPosition>(); }

  /// Blocks of a dropout launch that the device holds at once; 0 on the CPU.
  [[nodiscard]] int dropout_blocks() const { return dropout_blocks_; }

 private:
  DeviceBuffer memory_;
  int dropout_blocks_ = 0;
};

}  // namespace onepass
