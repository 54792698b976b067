// random_state.hpp - the seed and the step count in device memory from which dropout masks are drawn.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/device.hpp"
#include "onepass/stream.hpp"

namespace onepass {

/// The whole state of a RandomState: save this to resume.
struct RandomPosition {
  std::uint64_t seed = 0;
  std::int64_t offset = 0;  ///< Number of steps so far; in [0, 2^53].

  /// The key of Philox: the seed for the first 2^32 steps. A draw's counter holds the low 32 bits of the
  /// offset. The high bits are added to the key, so draws still differ after 2^32 steps.
  [[nodiscard]] ONEPASS_LANE std::uint64_t key() const {
    return seed + (static_cast<std::uint64_t>(offset) >> 32) * 0x9E3779B97F4A7C15u;
  }
  /// Counter::step of a draw.
  [[nodiscard]] ONEPASS_LANE std::uint32_t step() const { return static_cast<std::uint32_t>(offset); }

  friend bool operator==(const RandomPosition&, const RandomPosition&) = default;
};

/// A seed and an offset in the memory of a device. Kernels read them when they run, so a captured graph that
/// contains an advance() draws new bits at every replay. Move-only. It must live until all work that reads it
/// is done.
class RandomState {
 public:
  /// Starts at `position` and waits until it is on the device. Loads the kernels that read it, so their first
  /// use can be captured in a CUDA graph. Throws InvalidArgument if there is no such device or the offset is
  /// out of range, and CudaError.
  RandomState(Device device, RandomPosition position);

  /// Device that has the state.
  [[nodiscard]] Device device() const { return memory_.device(); }

  /// Adds 1 to the offset with one small launch, asynchronous on `stream`. Call it once per training step,
  /// after the backward pass, which needs the same offset as the forward pass. Throws CudaError.
  void advance(Stream stream = {});

  /// Waits for all work queued on `stream` and returns seed and offset. Throws CudaError.
  [[nodiscard]] RandomPosition saved(Stream stream = {}) const;

  /// Sets seed and offset. Asynchronous on `stream`; a captured graph uses them from its next replay on.
  /// Throws InvalidArgument if the offset is out of range, and CudaError.
  void restore(RandomPosition position, Stream stream = {});

  /// Address of seed and offset, in the device's memory; null if the RandomState has been moved from.
  [[nodiscard]] const RandomPosition* data() const { return memory_.as<const RandomPosition>(); }

  /// Number of thread blocks of a dropout kernel that are resident on the device at once; 0 on the CPU.
  [[nodiscard]] int dropout_blocks() const { return dropout_blocks_; }

 private:
  DeviceBuffer memory_;
  int dropout_blocks_ = 0;
};

}  // namespace onepass
