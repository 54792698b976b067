// parts.cpp - divides a model into equal shares.
#include "bench/data/parts.hpp"

#include <algorithm>
#include <numeric>

namespace onepass::bench {

std::vector<std::vector<Part>> divide(std::span<const std::int64_t> tensors, int threads) {
  constexpr std::int64_t kGrain = 64;
  const std::int64_t total = std::accumulate(tensors.begin(), tensors.end(), std::int64_t{0});
  std::vector<std::vector<Part>> shares(static_cast<std::size_t>(threads));
  std::int64_t before = 0;  // elements of the tensors before this one
  std::size_t thread = 0;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    for (std::int64_t begin = 0; begin < tensors[t];) {
      const auto next = static_cast<std::int64_t>(thread) + 1;
      const std::int64_t quota = next == threads ? total : total / threads * next;
      const std::int64_t wanted = std::max<std::int64_t>(quota - before, 0) / kGrain * kGrain;
      const std::int64_t end = next == threads ? tensors[t] : std::min(wanted, tensors[t]);
      if (end <= begin) {  // the share of this thread is full
        ++thread;
        continue;
      }
      shares[thread].push_back({t, begin, end});
      begin = end;
    }
    before += tensors[t];
  }
  return shares;
}

}  // namespace onepass::bench
