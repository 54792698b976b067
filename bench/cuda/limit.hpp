// limit.hpp - the limit on a GPU: a kernel that moves the bytes of a step and computes nothing.
#pragma once

#include <cstdint>
#include <span>

#include "bench/data/model.hpp"

namespace onepass::bench {

/// Reads each byte that a step reads and writes each byte that it writes, for all tensors in one launch and
/// 16 bytes at a time if the address is aligned. The streams of a tensor advance together, as in a step.
class CudaLimit {
 public:
  /// The streams lie on `device` and have the element sizes `bytes`.
  CudaLimit(Device device, const ElementBytes& bytes, std::span<const TensorStreams> streams);

  /// Runs the kernel asynchronously on the default stream. It xors streams that a step reads and writes with
  /// `zero`, sets streams that a step only writes to `zero`, and ors `gradient bits & zero` into seen(). The
  /// limit passes 0, which the compiler does not know: streams that are read keep their content.
  void run(std::uint32_t zero) const;

  /// Waits for the device and returns the gradient bits that runs have seen.
  [[nodiscard]] std::uint32_t seen() const;
  /// Bytes that a run reads and writes.
  [[nodiscard]] double traffic() const { return traffic_; }

 private:
  Device device_;
  DeviceBuffer pieces_, seen_;
  unsigned count_ = 0;
  double traffic_ = 0.0;
};

}  // namespace onepass::bench
