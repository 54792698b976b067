// windows.hpp - the elements that are looked at before anything is timed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "bench/data/model.hpp"
#include "bench/data/parts.hpp"

namespace onepass::bench {

/// All elements of small models; of large ones head, tail and a border between two chunks of up to 64
/// tensors, and 64 places at random. Each begins at a multiple of 64.
std::vector<Part> choose_windows(std::span<const std::int64_t> tensors);

/// The bytes of all streams of a window, on the host.
struct Bytes {
  std::vector<std::byte> param, remainder, grad;
  std::array<std::vector<std::byte>, TensorStreams::kMaxStates> states, scales;

  bool operator==(const Bytes&) const = default;
};

/// Waits for the device.
Bytes take(const TensorStreams& streams, const Part& window, const ElementBytes& bytes, Device device);

}  // namespace onepass::bench
