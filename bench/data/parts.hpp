// parts.hpp - the elements of a model, divided among threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace onepass::bench {

/// Elements [begin, end) of one tensor.
struct Part {
  std::size_t tensor;
  std::int64_t begin;
  std::int64_t end;
};

/// Returns one list of parts per thread. All lists have about equally many elements; tensors are cut at
/// multiples of 64 elements.
std::vector<std::vector<Part>> divide(std::span<const std::int64_t> tensors, int threads);

}  // namespace onepass::bench
