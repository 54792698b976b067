// quantized8_test.cpp - 8-bit states keep every code and their error bounds, decay, and spread NaN and Inf.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "onepass/storage/quantized8.hpp"
#include "storage/floats.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

using storage::Nonnegative8;
using storage::Signed8;

/// Values of the 12 bits of noise. The middle one rounds to the nearest code.
constexpr storage::Bits kMiddle = 2048, kMost = 4095;

/// A block as a step stores and reads it, but with the same noise for all elements.
template <class Codec>
struct Block {
  explicit Block(std::span<const float> elements, storage::Bits noise = kMiddle) {
    storage::Bits largest = 0;
    for (const float x : elements) largest = std::max(largest, storage::magnitude_of(Codec::stage(x)));
    stored_scale = Codec::scale(largest);
    scale = storage::BFloat16::decode(stored_scale);
    for (const float x : elements) {
      codes.push_back(Codec::encode(Codec::stage(x), scale, noise));
      restored.push_back(Codec::decode(codes.back(), scale));
    }
  }

  std::uint16_t stored_scale = 0;
  float scale = 0.0f;
  std::vector<typename Codec::Code> codes;
  std::vector<float> restored;
};

/// Returns a block with magnitudes over the eight decades below 10^exponent.
std::vector<float> block_below(int exponent, std::uint64_t key, bool with_signs) {
  std::vector<float> elements;
  for (std::uint64_t i = 0; i < storage::kBlock; ++i) {
    const double magnitude = std::pow(10.0, exponent - 8.0 * uniform(key * 100 + i));
    const bool negative = with_signs && (mix(key * 100 + i) & 1) != 0;
    elements.push_back(static_cast<float>(negative ? -magnitude : magnitude));
  }
  return elements;
}

/// Calls visit(elements) for blocks from the smallest denormals to the largest finite numbers.
template <class Visit>
void for_many_blocks(bool with_signs, Visit visit) {
  for (int exponent = -44; exponent <= 38; ++exponent) {
    for (std::uint64_t key = 0; key < 200; ++key) {
      visit(block_below(exponent, key + 1000u * static_cast<unsigned>(exponent + 50), with_signs));
    }
  }
}

TEST(BlockScale, IsTheSmallestBFloat16NotBelowTheMagnitude) {
  const auto check = [](float x) {
    const std::uint32_t scale = storage::block_scale(storage::magnitude_of(x));
    const double magnitude = std::fabs(double{x});
    ASSERT_GE(reference::value_of(reference::kBFloat16, scale), magnitude) << shown(x);
    ASSERT_LE(scale, 0x7f80u) << shown(x);
    if (scale == 0) return;
    ASSERT_LT(reference::value_of(reference::kBFloat16, scale - 1), magnitude) << shown(x);
  };
  around_every_value(reference::kBFloat16, check);
  check(std::numeric_limits<float>::max());
}

TEST(BlockScale, IsNaNForNonFiniteMagnitudes) {
  EXPECT_EQ(storage::block_scale(storage::magnitude_of(kInf)), 0x7fc0);
  for (const float nan : nans()) EXPECT_EQ(storage::block_scale(storage::magnitude_of(nan)), 0x7fc0);
}

/// Starts at the smallest scale that Signed8 gives a block, 2^-120.
TEST(Signed8, EveryCodeOfEveryScaleSurvivesARoundTrip) {
  for (std::uint32_t pattern = to_bits(0x1p-120f) >> 16; pattern <= 0x7f7f; ++pattern) {
    const float scale = storage::BFloat16::decode(static_cast<std::uint16_t>(pattern));
    for (int code = -127; code <= 127; ++code) {
      const float x = Signed8::decode(static_cast<std::int8_t>(code), scale);
      for (const storage::Bits noise : {storage::Bits{0}, kMost}) {
        ASSERT_EQ(Signed8::encode(Signed8::stage(x), scale, noise), code) << shown(scale);
      }
    }
  }
}

/// The roots of floats are between 2^-75 and 2^64. With scales below 2^-55 the squares are denormals, where
/// several codes decode to one number.
TEST(Nonnegative8, EveryCodeOfEveryScaleFrom2ToTheMinus55SurvivesARoundTrip) {
  const std::uint32_t first = to_bits(0x1p-55f) >> 16, last = to_bits(0x1p64f) >> 16;
  for (std::uint32_t pattern = first; pattern < last; ++pattern) {
    const float scale = storage::BFloat16::decode(static_cast<std::uint16_t>(pattern));
    for (int code = 0; code <= 255; ++code) {
      const float x = Nonnegative8::decode(static_cast<std::uint8_t>(code), scale);
      for (const storage::Bits noise : {storage::Bits{0}, kMost}) {
        ASSERT_EQ(Nonnegative8::encode(Nonnegative8::stage(x), scale, noise), code) << shown(scale);
      }
    }
  }
}

/// A code is within 0.5 of the exact sum of the companded number and the noise, except for three roundings of
/// numbers up to 255 and one rounding to 12 bits of fraction. So the code is within `kCode` of the number.
constexpr double kHalfCode = 0.5 + 255.0 * 3.0 * 0x1p-24 + 0x1p-13, kCode = kHalfCode + 0.5;

double shift_of(storage::Bits noise) { return noise / 4096.0 - 0.5; }

void expect_within_bounds(const Block<Signed8>& block, const std::vector<float>& elements, double shift) {
  const double scale = block.scale;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const double x = elements[i];
    const int code = block.codes[i];
    if (scale == 0.0) {
      ASSERT_LT(std::fabs(x), 0x1p-120);
      ASSERT_EQ(code, 0);
      continue;
    }
    const double expected = std::fabs(reference::signed_code(x, scale)) + shift;
    ASSERT_LE(std::fabs(std::abs(code) - expected), kHalfCode) << shown(elements[i]);
    ASSERT_TRUE(code == 0 || (code < 0) == (x < 0)) << shown(elements[i]);
    ASSERT_NEAR(block.restored[i], reference::signed_value(code, scale), 0x1p-22 * scale);
    const int octave = std::ilogb(1.0 + 14.75 * std::fabs(x) / scale);
    ASSERT_LE(std::fabs(block.restored[i] - x), kCode * scale * std::exp2(octave) / 472 + 0x1p-22 * scale)
        << shown(elements[i]);
  }
}

void expect_within_bounds(const Block<Nonnegative8>& block, const std::vector<float>& elements,
                          double shift) {
  const double scale = block.scale;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const double x = elements[i], y = scale > 0.0 ? std::sqrt(x) / scale : 0.0, h = kCode / 255.0;
    const int code = block.codes[i];
    const double expected = reference::nonnegative_code(x, scale) + shift;
    if (x == 0.0) {
      ASSERT_EQ(code, 0);
    } else {
      ASSERT_LE(std::fabs(code - std::max(expected, 1.0)), kHalfCode) << shown(elements[i]);
    }
    ASSERT_NEAR(block.restored[i], reference::nonnegative_value(code, scale),
                0x1p-21 * block.restored[i] + 0x1p-149);
    ASSERT_LE(std::fabs(block.restored[i] - x), scale * scale * h * (2.0 * y + h) + 0x1p-21 * x + 0x1p-149)
        << shown(elements[i]);
  }
}

template <class Codec>
void expect_many_within_bounds(bool with_signs) {
  for_many_blocks(with_signs, [](const std::vector<float>& elements) {
    for (const storage::Bits noise : {storage::Bits{0}, storage::Bits{1234}, kMiddle, kMost}) {
      expect_within_bounds(Block<Codec>(elements, noise), elements, shift_of(noise));
    }
  });
}

TEST(Signed8, CodesAndErrorsAreWithinTheBounds) { expect_many_within_bounds<Signed8>(true); }

TEST(Nonnegative8, CodesAndErrorsAreWithinTheBounds) { expect_many_within_bounds<Nonnegative8>(false); }

/// Averaged over all noise, Signed8 restores the number and Nonnegative8 gives its unrounded code. The bound
/// is one last place of the noise and one of the number.
TEST(Quantized8, MeanOverAllNoiseIsTheNumber) {
  for (double x = 1.0; x > 0.004; x *= 0.83) {
    const auto number = static_cast<float>(x);
    double positive = 0, negative = 0, square = 0;
    for (storage::Bits noise = 0; noise <= kMost; ++noise) {
      positive += Signed8::decode(Signed8::encode(number, 1.0f, noise), 1.0f);
      negative += Signed8::decode(Signed8::encode(-number, 1.0f, noise), 1.0f);
      square += Nonnegative8::encode(number, 1.0f, noise);
    }
    EXPECT_NEAR(positive / 4096, x, 0x1p-11 * 8 / 472);
    EXPECT_EQ(negative, -positive);
    EXPECT_NEAR(square / 4096, 255.0 * number, 0x1p-11);
  }
}

TEST(Dither, EveryElementsNoiseIsUniform) {
  constexpr int kDraws = 1 << 14;
  for (int element = 0; element < storage::kBlock; ++element) {
    std::vector<int> hits(16, 0);
    for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
      const storage::Bits noise =
          storage::Dither{static_cast<std::uint16_t>(mix(draw))}.at<storage::kNoiseBits>(element);
      ASSERT_LE(noise, kMost);
      ++hits[noise / 256];
    }
    // The bound is six standard deviations of a binomial count.
    for (const int count : hits) EXPECT_NEAR(count, kDraws / 16, 6 * std::sqrt(kDraws / 16.0));
  }
}

/// Neighbouring noise values of a block are 1 / 32 of the range apart on average, and never 2.5 / 32.
TEST(Dither, NoiseWithinABlockIsEvenlySpaced) {
  for (std::uint64_t draw = 0; draw < 1000; ++draw) {
    std::vector<storage::Bits> noise;
    for (int i = 0; i < storage::kBlock; ++i) {
      noise.push_back(storage::Dither{static_cast<std::uint16_t>(mix(draw))}.at<storage::kNoiseBits>(i));
    }
    std::ranges::sort(noise);
    for (std::size_t i = 1; i < noise.size(); ++i) EXPECT_LT(noise[i] - noise[i - 1], 4096 * 2.5 / 32);
  }
}

/// Runs 2,000 steps of beta2 = 0.999 without a gradient. If codes round to nearest, the moments hardly decay.
TEST(Nonnegative8, SecondMomentsDecay) {
  std::vector<float> dithered(storage::kBlock), nearest(storage::kBlock);
  for (std::size_t i = 0; i < dithered.size(); ++i) dithered[i] = static_cast<float>(i + 1) / 32.0f;
  nearest = dithered;
  const std::vector<float> first = Block<Nonnegative8>(dithered).restored;
  double sum = 0, expected = 0;
  for (std::uint64_t step = 0; step < 2000; ++step) {
    storage::Bits largest = 0;
    for (float& v : dithered) v *= 0.999f;
    for (const float v : dithered) largest = std::max(largest, storage::magnitude_of(std::sqrt(v)));
    const float scale = storage::BFloat16::decode(storage::block_scale(largest));
    const storage::Dither dither{static_cast<std::uint16_t>(mix(step))};
    for (std::size_t i = 0; i < dithered.size(); ++i) {
      const auto code = Nonnegative8::encode(std::sqrt(dithered[i]), scale,
                                             dither.at<storage::kNoiseBits>(static_cast<int>(i)));
      dithered[i] = Nonnegative8::decode(code, scale);
    }
    for (float& v : nearest) v *= 0.999f;
    nearest = Block<Nonnegative8>(nearest).restored;
  }
  for (std::size_t i = 0; i < dithered.size(); ++i) {
    // A root of c codes goes down by one code with a chance of c / 2000, in each of 2,000 steps. The scale of
    // its block goes down with it, so c stays the same and the logarithm of the root has the variance 1 / c.
    // The bound is four standard deviations of the logarithm of the square.
    const double codes = 255 * std::sqrt(static_cast<double>(i + 1) / 32);
    EXPECT_NEAR(std::log(dithered[i] / first[i]), 2000 * std::log(0.999), 4 * 2 / std::sqrt(codes)) << i;
    sum += dithered[i];
    expected += first[i] * std::pow(0.999, 2000);
  }
  EXPECT_NEAR(sum, expected, 0.1 * expected);
  for (std::size_t i = 0; i < nearest.size(); ++i) EXPECT_GT(nearest[i], 0.9f * first[i]) << i;
}

/// Checks the relative errors that quantized8.hpp documents for some fractions of the scale.
TEST(Quantized8, RelativeErrorsStayBelowTheDocumentedOnes) {
  const auto worst = [](auto codec, double low, double high) {
    using Codec = decltype(codec);
    double largest = 0.0;
    for (int i = 0; i <= 2000; ++i) {
      const auto x = static_cast<float>(low + (high - low) * i / 2000.0);
      for (const storage::Bits noise : {storage::Bits{0}, kMost}) {
        const float restored = Codec::decode(Codec::encode(Codec::stage(x), 1.0f, noise), 1.0f);
        largest = std::max(largest, std::fabs(double{restored} - double{x}) / double{x});
      }
    }
    return largest;
  };
  EXPECT_LE(worst(Signed8{}, 0.99, 1.0), 0.0175);
  EXPECT_LE(worst(Signed8{}, 0.1, 0.12), 0.043);
  EXPECT_LE(worst(Signed8{}, 0.01, 0.015), 0.22);
  EXPECT_LE(worst(Nonnegative8{}, 0.99, 1.0), 0.0080);
  EXPECT_LE(worst(Nonnegative8{}, 0.01, 0.012), 0.080);
  EXPECT_LE(worst(Nonnegative8{}, 0.002, 0.0022), 0.185);
}

template <class Codec>
void expect_monotone(float scale, float first) {
  int before = std::numeric_limits<int>::min();
  const float limit = std::is_same_v<Codec, Nonnegative8> ? scale * scale : scale;
  for (int i = 0; i <= 200'000; ++i) {
    const float x = first + (limit - first) * (static_cast<float>(i) / 200'000.0f);
    const int code = Codec::encode(Codec::stage(x), scale, kMiddle);
    ASSERT_GE(code, before) << shown(x);
    before = code;
  }
  ASSERT_EQ(before, std::numeric_limits<typename Codec::Code>::max());
}

TEST(Quantized8, CodesAreInTheOrderOfTheNumbers) {
  expect_monotone<Signed8>(1.0f, -1.0f);
  expect_monotone<Signed8>(0x1.84p-100f, -0x1.84p-100f);
  expect_monotone<Nonnegative8>(1.0f, 0.0f);
  expect_monotone<Nonnegative8>(0x1.84p-40f, 0.0f);
}

TEST(Quantized8, ZerosDecodeToPositiveZero) {
  for (const float zero : {0.0f, -0.0f}) {
    const Block<Signed8> average(std::vector<float>(32, zero));
    const Block<Nonnegative8> square(std::vector<float>(32, zero));
    EXPECT_EQ(average.stored_scale, 0);
    EXPECT_EQ(square.stored_scale, 0);
    for (int i = 0; i < 32; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_TRUE(same_bits(average.restored[at], 0.0f) && average.codes[at] == 0);
      EXPECT_TRUE(same_bits(square.restored[at], 0.0f) && square.codes[at] == 0);
    }
    // A zero beside another number has the code 0.
    EXPECT_EQ(Block<Signed8>(std::vector<float>{zero, 2.0f}).codes[0], 0);
    EXPECT_EQ(Block<Nonnegative8>(std::vector<float>{zero, 2.0f}).codes[0], 0);
  }
}

/// Holds for every ratio of two elements of a block, down to the smallest float beside the largest.
TEST(Nonnegative8, PositiveNumbersStayPositive) {
  for (const float largest : {1e-30f, 1.0f, 1e30f, std::numeric_limits<float>::max()}) {
    for (float x = largest; x > 0.0f; x *= 0.37f) {
      const Block<Nonnegative8> block(std::vector<float>{largest, x});
      ASSERT_GE(block.codes[1], 1) << shown(x);
      ASSERT_GT(block.restored[1], 0.0f) << shown(x);
    }
  }
}

/// Uses first moments 0.1 g and second moments 0.001 g^2, as after one step with the default betas.
TEST(Quantized8, MomentsOfGradientsFrom1em15To1e15StayAboveZero) {
  for (double g = 1e-15; g < 2e15; g *= 1.7) {
    const auto m = static_cast<float>(0.1 * g), v = static_cast<float>(0.001 * g * g);
    const Block<Signed8> average(std::vector<float>{m, -m, 0.01f * m});
    const Block<Nonnegative8> square(std::vector<float>{v, 1e-4f * v});
    for (int i = 0; i < 2; ++i) {
      const double expected = i == 0 ? double{m} : -double{m};
      ASSERT_NEAR(average.restored[static_cast<std::size_t>(i)], expected, 0.008 * double{m}) << g;
    }
    ASSERT_GT(average.restored[2], 0.0f) << g;
    ASSERT_NEAR(square.restored[0], v, 0.008 * double{v}) << g;
    ASSERT_NEAR(square.restored[1], 1e-4 * double{v}, 0.44e-4 * double{v}) << g;
  }
}

/// The scale of the root is 2^64, whose square overflows float32.
TEST(Nonnegative8, RestoresTheLargestFloatAsAFiniteNumber) {
  const std::vector<float> largest{std::numeric_limits<float>::max()};
  EXPECT_EQ(Block<Nonnegative8>(largest, kMost).restored[0], 0x1.fffffcp127f);
}

template <class Codec>
void expect_all_nan(float odd) {
  std::vector<float> elements(32, 1.5f);
  elements[3] = 0.0f;
  elements[17] = odd;
  const Block<Codec> block(elements);
  EXPECT_GE(block.stored_scale, 0x7f80) << shown(odd);
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(block.codes[i], 0) << shown(odd);
    EXPECT_TRUE(std::isnan(block.restored[i])) << shown(odd);
  }
}

TEST(Quantized8, NaNOrInfMakesTheWholeBlockNaN) {
  std::vector<float> odd = nans();
  odd.push_back(kInf);
  for (const float x : odd) {
    expect_all_nan<Signed8>(x);
    expect_all_nan<Nonnegative8>(x);
  }
  expect_all_nan<Signed8>(-kInf);
  expect_all_nan<Signed8>(0x1.ff0002p127f);  // finite, but beyond the largest bfloat16
  expect_all_nan<Nonnegative8>(-1.0f);       // no rule makes it
}

}  // namespace
}  // namespace onepass::test
