// limit.hpp - the limit on a GPU: a kernel that moves the bytes of a step and computes nothing.
#pragma once

#include <cstdint>
#include <span>

#include "bench/data/model.hpp"

namespace onepass::bench {

/// Reads each byte that a step reads and writes each that it writes, of all tensors in one launch, 16 bytes
/// at a time where the address allows it. Streams of one tensor advance together, as in the step.
class CudaLimit {
 public:
  /// Streams that lie on `device`, of the element sizes `bytes`.
  CudaLimit(Device device, const ElementBytes& bytes, std::span<const TensorStreams> streams);

  /// What is read and written is xor-ed with `zero`, what is only written becomes `zero`, and bits of
  /// gradients that are not 0 in `zero` are or-ed into seen(). With 0, the limit, memory stays as it is, and
  /// the compiler does not know. Asynchronous on the default stream.
  void run(std::uint32_t zero) const;

  /// Waits for the device.
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
