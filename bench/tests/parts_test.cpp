// parts_test.cpp - the shares of the threads are equal, and each element is in exactly one share.
#include "bench/data/parts.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace onepass::bench {
namespace {

using Sizes = std::vector<std::int64_t>;

void expect_divided(const Sizes& sizes, int threads) {
  const auto shares = divide(sizes, threads);
  ASSERT_EQ(shares.size(), static_cast<std::size_t>(threads));
  Sizes reached(sizes.size(), 0);
  std::int64_t largest = 0;
  for (const std::vector<Part>& share : shares) {
    std::int64_t elements = 0;
    for (const Part& part : share) {
      EXPECT_EQ(part.begin, reached[part.tensor]) << "tensor " << part.tensor;
      EXPECT_EQ(part.begin % 64, 0);
      EXPECT_LT(part.begin, part.end);
      reached[part.tensor] = part.end;
      elements += part.end - part.begin;
    }
    largest = std::max(largest, elements);
  }
  EXPECT_EQ(reached, sizes);
  const std::int64_t total = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  EXPECT_LE(largest, total / threads + 64 * threads);
}

TEST(Divide, CoversEveryElementOnce) {
  for (const int threads : {1, 2, 3, 7}) {
    expect_divided({1000000}, threads);
    expect_divided({1}, threads);
    expect_divided({100, 1, 64, 63, 65, 12345}, threads);
    expect_divided(Sizes(1000, 1000), threads);
  }
}

}  // namespace
}  // namespace onepass::bench
