// sizes.hpp - the sizes and misalignments at which a loop over chunks is most likely to go wrong.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace onepass::test {

/// 0, 1, every vector width in use (4: SSE and CUDA, 8: AVX2, 16: AVX-512) and the chunk size, each with its
/// two neighbours, and several chunks with a tail.
inline std::vector<std::int64_t> awkward_sizes(std::int64_t chunk_size) {
  std::vector<std::int64_t> sizes{0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17};
  for (const std::int64_t size : {chunk_size - 1, chunk_size, chunk_size + 1, 3 * chunk_size + 5}) {
    sizes.push_back(size);
  }
  return sizes;
}

/// Number of misalignments: 0 to 3 floats after a 64-byte boundary. Vectors of 16 bytes are misaligned at 1,
/// 2 and 3, each time by another amount.
constexpr int kMisalignments = 4;

}  // namespace onepass::test
