// windows.hpp - the elements that are compared with a step by hand before timing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "bench/data/model.hpp"
#include "bench/data/parts.hpp"

namespace onepass::bench {

/// Returns all elements of a small model. For a large model returns the head, the tail and a border between
/// two chunks of up to 127 evenly spaced tensors, and 64 random places. Windows begin at multiples of 64.
std::vector<Part> choose_windows(std::span<const std::int64_t> tensors);

/// The bytes of all streams of a window, on the host.
struct Bytes {
  std::vector<std::byte> param, remainder, grad;
  std::array<std::vector<std::byte>, TensorStreams::kMaxStates> states, scales;

  bool operator==(const Bytes&) const = default;
};

/// Waits for the device and copies the bytes of a window to the host.
Bytes take(const TensorStreams& streams, const Part& window, const ElementBytes& bytes, Device device);

}  // namespace onepass::bench
