// same_bits_test.cpp - initialize() gives the same bits for any threads, ISA, split, alignment and size.
#include <gtest/gtest.h>

#include <vector>

#include "onepass/cpu.hpp"
#include "support/environment.hpp"
#include "support/guarded.hpp"
#include "support/initializer_cases.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"

#ifdef __SSE__
#include <immintrin.h>
#endif

namespace onepass::test {
namespace {

std::int64_t elements(const std::vector<std::int64_t>& shape) {
  std::int64_t product = 1;
  for (const std::int64_t size : shape) product *= size;
  return product;
}

std::vector<float> whole(const InitializerCase& one, const RandomKey& key = {.seed = 5, .tensor = 6}) {
  std::vector<float> values(static_cast<std::size_t>(elements(one.shape)));
  initialize(values, one.shape, one.initializer, key);
  return values;
}

class InitializeSameBits : public testing::TestWithParam<InitializerCase> {};

INSTANTIATE_TEST_SUITE_P(Kinds, InitializeSameBits, testing::ValuesIn(initializer_cases()), by_name);

TEST_P(InitializeSameBits, EveryInstructionSetGivesTheSameBits) {
  const Environment baseline("ONEPASS_ISA", "baseline");
  const std::vector<float> wanted = whole(GetParam());
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (!isa_available(isa)) continue;
    const Environment chosen("ONEPASS_ISA", std::string(to_string(isa)));
    EXPECT_TRUE(equal_bits(wanted, whole(GetParam()))) << to_string(isa);
  }
}

// Every shard has an awkward size and offset, an alignment of its own, and sentinels around its memory.
TEST_P(InitializeSameBits, EverySplitAndAlignmentGivesTheSameBits) {
  const std::vector<float> wanted = whole(GetParam());
  const auto numel = static_cast<std::int64_t>(wanted.size());
  const std::vector<std::int64_t> sizes{0, 1, 3, 4, 5, 255, 256, 257, 1023, 2, 511};
  std::int64_t first = 0;
  for (int i = 0; first < numel; ++i) {
    const std::int64_t size = std::min(sizes[static_cast<std::size_t>(i) % sizes.size()], numel - first);
    GuardedBuffer shard(Device::cpu(), size, i % 4);
    initialize(shard.tensor(), GetParam().shape, GetParam().initializer,
               {.seed = 5, .tensor = 6, .first = first});
    ASSERT_TRUE(
        equal_bits(std::span(wanted).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(size)),
                   shard.host()))
        << size << " elements from " << first;
    ASSERT_TRUE(shard.intact());
    first += size;
    if (GetParam().name == "orthogonal") first += 500;  // every shard computes the matrix anew
  }
}

TEST(InitializeSameBits, EveryThreadCountGivesTheSameBits) {
  for (const InitializerCase& one : {InitializerCase{"normal", initializers::Normal{}, {700'001}},
                                     InitializerCase{"uniform", initializers::Uniform{}, {1'500'001}},
                                     InitializerCase{"orthogonal", initializers::Orthogonal{}, {150, 400}}}) {
    const Environment alone("ONEPASS_THREADS", "1");
    const std::vector<float> wanted = whole(one);
    for (const char* threads : {"2", "3", "7"}) {
      const Environment together("ONEPASS_THREADS", threads);
      EXPECT_TRUE(equal_bits(wanted, whole(one))) << one.name << ", " << threads << " threads";
    }
  }
}

TEST(InitializeSameBits, SmallTensorsAreTheBeginningOfLargeOnes) {
  const std::vector<float> large = whole({"", initializers::Normal{}, {2000}});
  for (const std::int64_t size : {0, 1, 2, 3, 4, 5, 7, 255, 256, 257, 1023, 1024, 1025}) {
    GuardedBuffer small(Device::cpu(), size, 1);
    initialize(small.tensor(), {size}, initializers::Normal{}, {.seed = 5, .tensor = 6});
    EXPECT_TRUE(equal_bits(std::span(large).first(static_cast<std::size_t>(size)), small.host())) << size;
    EXPECT_TRUE(small.intact());
  }
}

TEST(InitializeSameBits, SeedAndTensorNumberEachChangeTheNumbers) {
  const InitializerCase one{"", initializers::Normal{}, {1000}};
  const std::vector<float> first = whole(one, {.seed = 1, .tensor = 1});
  for (const RandomKey& key : {RandomKey{.seed = 2, .tensor = 1}, RandomKey{.seed = 1, .tensor = 2},
                               RandomKey{.seed = 1ull << 32 | 1, .tensor = 1}}) {
    const std::vector<float> other = whole(one, key);
    int equal = 0;
    for (std::size_t i = 0; i < first.size(); ++i) equal += first[i] == other[i] ? 1 : 0;
    EXPECT_LE(equal, 1);
  }
}

// A tensor far larger than memory needs 64-bit indices, and block numbers of the counter above 32 bits.
TEST(InitializeSameBits, ShardsBeyond32BitsAreDrawnFromTheirOwnCounters) {
  const std::vector<std::int64_t> shape{1ll << 24, 1ll << 24};
  const auto at = [&](std::int64_t first, std::int64_t size) {
    std::vector<float> values(static_cast<std::size_t>(size));
    initialize(values, shape, initializers::Normal{}, {.seed = 5, .first = first});
    return values;
  };
  const std::int64_t far = (1ll << 34) - 6;  // the low word of the block number overflows within
  const std::vector<float> together = at(far, 12);
  for (std::int64_t i = 0; i < 12; ++i) {
    EXPECT_TRUE(same_bits(together[static_cast<std::size_t>(i)], at(far + i, 1)[0])) << i;
  }
  EXPECT_NE(together[6], at(0, 1)[0]) << "block 2^32 is not block 0";
}

#ifdef __SSE__

TEST_P(InitializeSameBits, FloatingPointEnvironmentDoesNotChangeABitAndIsRestored) {
  const std::vector<float> wanted = whole(GetParam());
  const unsigned original = _mm_getcsr();
  const unsigned strange = (original & ~0x3fu) | 0x8040 | _MM_ROUND_UP;
  _mm_setcsr(strange);
  const std::vector<float> actual = whole(GetParam());
  const unsigned after = _mm_getcsr();
  _mm_setcsr(original);
  EXPECT_EQ(after & ~0x3fu, strange & ~0x3fu);
  EXPECT_TRUE(equal_bits(wanted, actual));
}

#endif

}  // namespace
}  // namespace onepass::test
