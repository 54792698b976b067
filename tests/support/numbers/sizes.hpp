// sizes.hpp - the sizes and misalignments at which a sweep over chunks goes wrong.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace onepass::test {

/// Empty, one, every vector width in use (4: SSE and CUDA, 8: AVX2, 16: AVX-512) and a chunk, each one less
/// and one more; several chunks with a tail.
inline std::vector<std::int64_t> awkward_sizes(std::int64_t chunk_size) {
  std::vector<std::int64_t> sizes{0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17};
  for (const std::int64_t size : {chunk_size - 1, chunk_size, chunk_size + 1, 3 * chunk_size + 5}) {
    sizes.push_back(size);
  }
  return sizes;
}

/// Floats off a 64-byte boundary. 16-byte vectors see 1, 2 and 3 as misaligned, each in another way.
constexpr int kMisalignments = 4;

}  // namespace onepass::test
