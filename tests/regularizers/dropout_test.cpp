// dropout_test.cpp - CPU dropout follows its formula and gives the same bits for any threads, ISA and split.
#include "onepass/regularizers/dropout.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "onepass/cpu.hpp"
#include "support/environment.hpp"
#include "support/guarded.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/random_reference.hpp"
#include "support/numbers/values.hpp"

#ifdef __SSE__
#include <immintrin.h>
#endif

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr RandomPosition kPosition{.seed = 0x123456789abcdef0, .offset = 41};

RandomState state_at(const RandomPosition& position) { return {Device::cpu(), position}; }

/// Tensor over values that the call only reads. A temporary argument lives as long as the call.
Tensor view(const std::vector<float>& values) {
  return {const_cast<float*>(values.data()), static_cast<std::int64_t>(values.size())};
}

std::vector<float> activations(std::int64_t numel, std::uint64_t salt = 0) {
  std::vector<float> values(static_cast<std::size_t>(numel));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = heavy_tailed(mix(i + (salt << 32)));
  return values;
}

std::vector<float> forward(double p, std::vector<float> in, const RandomPosition& position = kPosition,
                           std::uint32_t site = 9) {
  std::vector<float> out(in.size(), 777.0f);
  dropout_forward(Dropout{p}, {.out = out, .in = in, .site = site}, state_at(position));
  return out;
}

/// Returns true if the documented mask, computed by the test's own Philox, keeps the element.
bool kept(double p, std::uint64_t element, const RandomPosition& position = kPosition,
          std::uint32_t site = 9) {
  const reference::Place place{position.seed, reference::kDropout,
                               static_cast<std::uint32_t>(position.offset), site};
  return reference::word(place, element) >= std::llround(p * 0x1p32);
}

// Rounding 1 / (1 - p) to float adds at most one ulp of the quotient, and rounding the product half an ulp.
TEST(Dropout, FollowsItsFormulaForEveryElement) {
  for (const double p : {0.1, 0.5, 0.9, 1.0 / 3}) {
    const std::vector<float> in = activations(5001), out = forward(p, in);
    const auto scale = static_cast<float>(1.0 / (1.0 - p));
    for (std::size_t i = 0; i < in.size(); ++i) {
      const double exact = static_cast<double>(in[i]) / (1.0 - p);
      if (kept(p, i)) {
        ASSERT_LE(std::fabs(out[i] - exact), 1.5 * ulp_of(std::fabs(exact))) << i;
        ASSERT_TRUE(same_bits(out[i], in[i] * scale)) << i;
      } else {
        ASSERT_TRUE(same_bits(out[i], 0.0f)) << i;
      }
    }
  }
}

TEST(Dropout, ResidualIsAddedInOneRounding) {
  const std::vector<float> in = activations(3001), residual = activations(3001, 1);
  std::vector<float> out(in.size());
  dropout_forward(Dropout{0.3}, {.out = out, .in = view(in), .residual = view(residual), .site = 9},
                  state_at(kPosition));
  const auto scale = static_cast<float>(1.0 / 0.7);
  for (std::size_t i = 0; i < in.size(); ++i) {
    // The product is exact in double, and the sum of these numbers is exact in long double.
    const long double sum = static_cast<long double>(in[i]) * scale + residual[i];
    ASSERT_TRUE(same_bits(out[i], kept(0.3, i) ? static_cast<float>(sum) : residual[i])) << i;
  }
}

// The share of kept elements among n has the standard error sqrt(p (1 - p) / n). A correct mask exceeds 4.5
// of them once in 150,000 seeds. The seed is fixed.
TEST(Dropout, KeepsAShareOfOneMinusP) {
  constexpr std::int64_t kCount = 1'000'000;
  const std::vector<float> ones(kCount, 1.0f);
  for (const double p : {0.001, 0.1, 0.5, 0.8, 0.999}) {
    std::int64_t count = 0;
    double sum = 0.0;
    for (const float y : forward(p, ones)) {
      count += y != 0.0f ? 1 : 0;
      sum += y;
    }
    const double error = 4.5 * std::sqrt(p * (1.0 - p) / kCount);
    EXPECT_NEAR(static_cast<double>(count) / kCount, 1.0 - p, error) << p;
    EXPECT_NEAR(sum / kCount, 1.0, error / (1.0 - p) + 1e-7) << p;
  }
}

TEST(Dropout, ScaleIsTheNearestFloatAndTheThresholdIsExact) {
  using regularizers::DropoutCoefficients;
  for (const double p : {0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99}) {
    EXPECT_TRUE(same_bits(DropoutCoefficients::prepare({p}).scale, static_cast<float>(1.0L / (1.0L - p))))
        << p;
  }
  EXPECT_EQ(DropoutCoefficients::prepare({0.5}).threshold, 0x80000000u);
  EXPECT_EQ(DropoutCoefficients::prepare({0.0}).threshold, 0u);
  EXPECT_EQ(DropoutCoefficients::prepare({0x1p-32}).threshold, 1u);
  EXPECT_EQ(DropoutCoefficients::prepare({std::nextafter(1.0, 0.0)}).threshold, 0xffffffffu);
  EXPECT_FALSE(DropoutCoefficients::prepare({1.0}).keeps(0xffffffffu));
  EXPECT_TRUE(DropoutCoefficients::prepare({std::nextafter(1.0, 0.0)}).keeps(0xffffffffu));
}

/// Values whose bits a product could change, including a signalling NaN with a payload.
std::vector<float> strange() {
  return {0.0f,
          -0.0f,
          kInf,
          -kInf,
          kNaN,
          std::bit_cast<float>(0x7fa5c3e1u),
          std::bit_cast<float>(0xffc12345u),
          1e-45f,
          -1e-45f,
          3e38f,
          -3e38f};
}

TEST(Dropout, ProbabilityZeroCopiesEveryBit) {
  const std::vector<float> in = strange(), out = forward(0.0, in);
  for (std::size_t i = 0; i < in.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(in[i]), std::bit_cast<std::uint32_t>(out[i])) << i;
  }
}

TEST(Dropout, ProbabilityOneWritesZerosOrTheResidual) {
  const std::vector<float> zeros(strange().size(), 0.0f);
  EXPECT_TRUE(equal_bits(zeros, forward(1.0, strange())));
  std::vector<float> out(zeros.size());
  dropout_forward(Dropout{1.0}, {.out = out, .in = view(strange()), .residual = view(strange())},
                  state_at(kPosition));
  for (std::size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(strange()[i])) << i;
  }
}

TEST(Dropout, NaNIsDroppedOrKeptLikeAnyNumber) {
  const std::vector<float> out = forward(0.5, std::vector<float>(200, kNaN));
  for (std::size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isnan(out[i]), kept(0.5, i)) << i;
}

TEST(Dropout, BackwardDropsAndScalesTheSameElements) {
  const std::vector<float> ones(4099, 1.0f);
  std::vector<float> gradient(ones.size());
  const RandomState state = state_at(kPosition);
  dropout_backward(Dropout{0.4}, {.out = gradient, .in = view(ones), .site = 9}, state);
  EXPECT_TRUE(equal_bits(forward(0.4, ones), gradient));
}

TEST(Dropout, InPlaceGivesTheSameBits) {
  const std::vector<float> in = activations(1003), residual = activations(1003, 1);
  const RandomState state = state_at(kPosition);
  std::vector<float> values = in;
  dropout_forward(Dropout{0.4}, {.out = values, .in = values, .site = 9}, state);
  EXPECT_TRUE(equal_bits(forward(0.4, in), values));

  std::vector<float> wanted(in.size()), sum = residual, x = in;
  std::vector<float> in_copy = in, residual_copy = residual;
  dropout_forward(Dropout{0.4}, {.out = wanted, .in = in_copy, .residual = residual_copy, .site = 9}, state);
  dropout_forward(Dropout{0.4}, {.out = sum, .in = in_copy, .residual = sum, .site = 9}, state);
  EXPECT_TRUE(equal_bits(wanted, sum));
  dropout_forward(Dropout{0.4}, {.out = x, .in = x, .residual = residual_copy, .site = 9}, state);
  EXPECT_TRUE(equal_bits(wanted, x));
  sum = residual;
  dropout_forward(Dropout{0.4}, {.out = sum, .in = sum, .residual = sum, .site = 9}, state);
  wanted = residual;
  dropout_forward(Dropout{0.4}, {.out = wanted, .in = residual_copy, .residual = residual_copy, .site = 9},
                  state);
  EXPECT_TRUE(equal_bits(wanted, sum));
}

TEST(Dropout, SeedOffsetAndSiteEachChangeTheMask) {
  const std::vector<float> ones(4000, 1.0f), first = forward(0.5, ones);
  const auto agreement = [&](const RandomPosition& position, std::uint32_t site) {
    const std::vector<float> other = forward(0.5, ones, position, site);
    int equal = 0;
    for (std::size_t i = 0; i < ones.size(); ++i) equal += first[i] == other[i] ? 1 : 0;
    return equal / 4000.0;
  };
  const double error = 4.5 * 0.5 / std::sqrt(4000.0);
  EXPECT_EQ(agreement(kPosition, 9), 1.0);
  EXPECT_NEAR(agreement(kPosition, 10), 0.5, error);
  EXPECT_NEAR(agreement({kPosition.seed + 1, kPosition.offset}, 9), 0.5, error);
  EXPECT_NEAR(agreement({kPosition.seed, kPosition.offset + 1}, 9), 0.5, error);
  // The counter holds the lower 32 bits of the offset. The upper bits go into the key.
  EXPECT_NEAR(agreement({kPosition.seed, kPosition.offset + (std::int64_t{1} << 32)}, 9), 0.5, error);
}

TEST(DropoutSameBits, EveryInstructionSetAndThreadCountGivesTheSameBits) {
  const std::vector<float> in = activations(1'500'003);
  std::vector<float> wanted;
  {
    const Environment isa("ONEPASS_ISA", "baseline"), threads("ONEPASS_THREADS", "1");
    wanted = forward(0.3, in);
  }
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (!isa_available(isa)) continue;
    for (const char* count : {"1", "2", "5"}) {
      const Environment chosen("ONEPASS_ISA", std::string(to_string(isa))), threads("ONEPASS_THREADS", count);
      EXPECT_TRUE(equal_bits(wanted, forward(0.3, in))) << to_string(isa) << ", " << count << " threads";
    }
  }
}

#ifdef __SSE__

// Inputs and outputs include denormals, and products that have to be rounded.
TEST(DropoutSameBits, FloatingPointEnvironmentDoesNotChangeABit) {
  const std::vector<float> in = activations(3001), wanted = forward(0.3, in);
  const unsigned original = _mm_getcsr();
  _mm_setcsr((original & ~0x3fu) | 0x8040 | _MM_ROUND_UP);  // denormals flushed, rounding up
  std::vector<float> actual(in.size());
  dropout_forward(Dropout{0.3}, {.out = actual, .in = view(in), .site = 9}, state_at(kPosition));
  _mm_setcsr(original);
  EXPECT_TRUE(equal_bits(wanted, actual));
}

#endif

// Shards of awkward sizes at awkward offsets, in memory of any alignment, give the bits of the whole tensor.
TEST(DropoutSameBits, EverySplitSizeAndAlignmentGivesTheSameBits) {
  const std::vector<float> in = activations(9001), residual = activations(9001, 1);
  std::vector<float> wanted(in.size());
  dropout_forward(Dropout{0.3}, {.out = wanted, .in = view(in), .residual = view(residual), .site = 9},
                  state_at(kPosition));
  const std::vector<std::int64_t> sizes{0, 1, 3, 4, 5, 255, 256, 257, 1023, 2, 511};
  std::int64_t first = 0;
  for (int i = 0; first < 9001; ++i) {
    const std::int64_t size = std::min(sizes[static_cast<std::size_t>(i) % sizes.size()], 9001 - first);
    GuardedBuffer out(Device::cpu(), size, i % 4), x(Device::cpu(), size, i / 2 % 4),
        r(Device::cpu(), size, i / 3 % 4);
    const auto begin = static_cast<std::size_t>(first), count = static_cast<std::size_t>(size);
    x.write(std::span(in).subspan(begin, count));
    r.write(std::span(residual).subspan(begin, count));
    dropout_forward(
        Dropout{0.3},
        {.out = out.tensor(), .in = x.tensor(), .residual = r.tensor(), .site = 9, .first = first},
        state_at(kPosition));
    ASSERT_TRUE(equal_bits(std::span(wanted).subspan(begin, count), out.host())) << size << " from " << first;
    ASSERT_TRUE(out.intact());
    first += size;
  }
}

}  // namespace
}  // namespace onepass::test
