// norm_bits_test.cpp - order, grouping, alignment, chunks, threads and instruction set change no bit of the
// gradient norm, and none of a step that is clipped by it. With ClipGradNorm::exact no cut does.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

/// The norm, and everything that the steps changed.
struct Outcome {
  std::uint64_t norm;
  Snapshot snapshot;
};

testing::AssertionResult same(const Outcome& expected, const Outcome& actual) {
  if (expected.norm != actual.norm) {
    return testing::AssertionFailure() << "the norm is " << std::bit_cast<double>(actual.norm) << " and not "
                                       << std::bit_cast<double>(expected.norm);
  }
  return equal_bits(expected.snapshot, actual.snapshot);
}

Outcome clipped(const std::vector<Shape>& shapes, NormType type, const Options& options, int steps = 3) {
  Model model(shapes);
  const Adam rule{.lr = 0.01, .weight_decay = 0.1};
  Optimizer optimizer(std::vector<Adam>{rule, rule, rule}, model.parameters(), options);
  optimizer.set_gradient_handling(
      {.clip_norm = ClipGradNorm{.max_norm = 0.5, .norm_type = type}, .nonfinite = NonFinite::skip});
  train_finite(model, optimizer, steps);
  return {std::bit_cast<std::uint64_t>(optimizer.grad_norm()), snapshot(model.parameters(), optimizer)};
}

std::vector<Shape> numbered_shapes() {
  std::vector<Shape> shapes;
  for (const std::int64_t numel :
       {0, 1, 3, 127, 128, 129, 0, 1023, 1024, 1025, 4095, 4096, 4097, 12300, 2, 0}) {
    const int n = static_cast<int>(shapes.size());
    shapes.push_back({.numel = numel,
                      .value_misalignment = n % 4,
                      .grad_misalignment = (n / 2) % 4,
                      .group = static_cast<std::size_t>(n % 3),
                      .id = n});
  }
  return shapes;
}

class NormBits : public testing::TestWithParam<NormType> {};
INSTANTIATE_TEST_SUITE_P(Types, NormBits, testing::Values(NormType::l1, NormType::l2, NormType::infinity));

TEST_P(NormBits, OrderOfTensorsDoesNotChangeABit) {
  std::vector<Shape> shapes = numbered_shapes();
  const Outcome wanted = clipped(shapes, GetParam(), {});
  std::reverse(shapes.begin(), shapes.end());
  EXPECT_TRUE(same(wanted, clipped(shapes, GetParam(), {})));
  for (unsigned seed = 1; seed <= 5; ++seed) {
    std::shuffle(shapes.begin(), shapes.end(), std::mt19937(seed));
    EXPECT_TRUE(same(wanted, clipped(shapes, GetParam(), {}))) << seed;
  }
}

TEST_P(NormBits, GroupingAndAlignmentDoNotChangeABit) {
  std::vector<Shape> shapes = numbered_shapes();
  const Outcome wanted = clipped(shapes, GetParam(), {});
  for (Shape& shape : shapes) shape.group = 0;
  EXPECT_TRUE(same(wanted, clipped(shapes, GetParam(), {})));
  for (Shape& shape : shapes) shape.grad_misalignment = 3 - shape.grad_misalignment;
  EXPECT_TRUE(same(wanted, clipped(shapes, GetParam(), {})));
}

TEST_P(NormBits, ChunkSizeInstructionSetAndThreadsDoNotChangeABit) {
  const Outcome wanted = clipped(numbered_shapes(), GetParam(), {.threads = 1, .isa = Isa::baseline});
  for (const std::int64_t chunk_size : {64, 192, 1024, 4096, 65536}) {
    EXPECT_TRUE(same(wanted, clipped(numbered_shapes(), GetParam(), {.chunk_size = chunk_size})));
  }
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (!isa_available(isa)) continue;
    EXPECT_TRUE(same(wanted, clipped(numbered_shapes(), GetParam(), {.isa = isa}))) << to_string(isa);
  }
  for (const int threads : {2, 3, 16}) {
    EXPECT_TRUE(same(wanted, clipped(numbered_shapes(), GetParam(), {.threads = threads}))) << threads;
  }
}

// The second tensor is large enough for threads to share the work.
TEST_P(NormBits, ThreadsThatShareTheWorkDoNotChangeABit) {
  const std::vector<Shape> shapes{{.numel = 3}, {.numel = 2200001, .grad_misalignment = 1}, {.numel = 70000}};
  const Outcome wanted = clipped(shapes, GetParam(), {.threads = 1}, 2);
  for (const int threads : {2, 5}) {
    EXPECT_TRUE(same(wanted, clipped(shapes, GetParam(), {.threads = threads}, 2))) << threads;
  }
}

/// The norm of `whole` when it is cut into tensors of these sizes.
double norm_of_pieces(const std::vector<float>& whole, const std::vector<std::size_t>& sizes,
                      const ClipGradNorm& clip) {
  std::vector<std::vector<float>> pieces;
  std::size_t begin = 0;
  for (const std::size_t size : sizes) {
    pieces.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(begin),
                        whole.begin() + static_cast<std::ptrdiff_t>(begin + size));
    begin += size;
  }
  FlatModel model(pieces, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.clip_grad_norm(clip);
  optimizer.step();
  return optimizer.grad_norm();
}

// Leaves of 1,024 elements are added exactly, so it does not matter how they are packed into tensors.
TEST_P(NormBits, PackingOfWholeLeavesDoesNotChangeABit) {
  std::vector<float> whole(9 * 1024 + 77);
  draw_gradient(whole, 5, 1, 200);
  const double wanted = norm_of_pieces(whole, {whole.size()}, {.norm_type = GetParam()});
  EXPECT_GT(wanted, 0.0);
  for (const std::vector<std::size_t>& sizes : {std::vector<std::size_t>{1024, 0, 8 * 1024 + 77},
                                                {5 * 1024, 4 * 1024 + 77},
                                                {4096, 4096, 1024, 77}}) {
    EXPECT_EQ(std::bit_cast<std::uint64_t>(wanted),
              std::bit_cast<std::uint64_t>(norm_of_pieces(whole, sizes, {.norm_type = GetParam()})));
  }
}

using Words = std::vector<std::int64_t>;

/// A sum of squares or magnitudes by integer arithmetic, kept simple so that it is obviously right: bit i of
/// the number weighs 2^(i - 298), and each word has 32 of them.
class IntegerSum {
 public:
  void add(float x, NormType type) {
    const auto bits = std::bit_cast<std::uint32_t>(x) & 0x7fffffffu;
    const int exponent = static_cast<int>(bits >> 23);
    const std::uint64_t fraction = (bits & 0x7fffffu) | (exponent != 0 ? 0x800000u : 0u);
    const int last_bit = (exponent != 0 ? exponent : 1) - 150;
    const bool squares = type == NormType::l2;
    add_at(squares ? fraction * fraction : fraction, 298 + (squares ? 2 * last_bit : last_bit));
  }
  [[nodiscard]] Words words() const {
    Words all(22, 0);
    for (std::size_t i = 0; i < 20; ++i) {
      for (std::size_t bit = 0; bit < 32; ++bit) {
        if (bits_[32 * i + bit]) all[i] |= std::int64_t{1} << bit;
      }
    }
    return all;
  }

 private:
  void add_at(std::uint64_t number, int position) {
    for (int i = 0; i < 64; ++i) {
      if ((number >> i & 1) == 0) continue;
      auto at = static_cast<std::size_t>(position + i);
      while (bits_[at]) bits_[at++] = false;
      bits_[at] = true;
    }
  }
  std::array<bool, 640> bits_{};
};

Words measured(std::vector<float> gradient, const ClipGradNorm& clip, const Options& options = {}) {
  FlatModel model({std::move(gradient)}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters(), options};
  optimizer.clip_grad_norm(clip);
  Words words(22, -1);
  optimizer.measure({words.data(), DType::int64, 22});
  return words;
}

Words by_integers(const std::vector<float>& gradient, NormType type) {
  IntegerSum sum;
  for (const float x : gradient) sum.add(x, type);
  return sum.words();
}

/// Leaves of one bin, of two, and of many; the ends of float32; leaves that are cut short.
std::vector<std::vector<float>> exact_gradients() {
  std::vector<std::vector<float>> all;
  for (const auto& [low, high] : {std::pair{0, 0},
                                  {-1, 0},
                                  {-12, 0},
                                  {-25, 1},
                                  {-24, 0},
                                  {-40, 3},
                                  {-149, -126},
                                  {-149, 127},
                                  {126, 127},
                                  {-75, -70}}) {
    for (const std::size_t numel : {1, 2, 127, 1023, 1024, 1025, 5000}) {
      all.push_back(between(numel, low, high, all.size()));
    }
  }
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kLeast = std::numeric_limits<float>::denorm_min();
  all.emplace_back(3000, kLargest);
  all.emplace_back(3000, kLeast);
  all.emplace_back(2048, -0x1.fffffep0f);
  all.emplace_back(1024, 0.0f);
  all.emplace_back(1024, kLeast).front() = kLargest;
  all.emplace_back(1024, kLargest).back() = -kLeast;
  all.emplace_back(1024, 0.0f)[777] = 0x1.000002p-3f;
  all.push_back(heavy_tailed_pool());
  return all;
}

std::vector<Isa> isas() {
  std::vector<Isa> all{Isa::baseline};
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (isa_available(isa)) all.push_back(isa);
  }
  return all;
}

TEST(ExactNorm, IsTheSumOfIntegers) {
  for (const Isa isa : isas()) {
    for (const NormType type : {NormType::l1, NormType::l2}) {
      std::size_t number = 0;
      for (const std::vector<float>& gradient : exact_gradients()) {
        ASSERT_EQ(by_integers(gradient, type),
                  measured(gradient, {.norm_type = type, .exact = true}, {.isa = isa}))
            << to_string(isa) << ", gradient " << number;
        ++number;
      }
    }
  }
}

// The usual norm rounds leaves, so the test above would see it.
TEST(ExactNorm, TheUsualNormRounds) {
  const std::vector<float> gradient = between(5000, -25, 1, 3);
  EXPECT_NE(by_integers(gradient, NormType::l2), measured(gradient, {.norm_type = NormType::l2}));
}

TEST(ExactNorm, GradientsOf16BitsAreAddedAlike) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    for (const NormType type : {NormType::l1, NormType::l2}) {
      std::vector<std::uint16_t> values(5001), grads(5001);
      std::vector<float> decoded(5001);
      for (std::size_t i = 0; i < grads.size(); ++i) {
        const auto bits = static_cast<std::uint16_t>(mix(i + 7));
        const float wide =
            dtype == DType::bfloat16 ? storage::BFloat16::decode(bits) : storage::Float16::decode(bits);
        grads[i] = std::isfinite(wide) ? bits : 0;
        decoded[i] = std::isfinite(wide) ? wide : 0.0f;
      }
      const auto numel = static_cast<std::int64_t>(grads.size());
      Optimizer optimizer{kShowsGradients, std::vector<Parameter>{{.name = "p",
                                                                   .value = {values.data(), dtype, numel},
                                                                   .grad = {grads.data(), dtype, numel}}}};
      optimizer.clip_grad_norm({.norm_type = type, .exact = true});
      Words words(22, -1);
      optimizer.measure({words.data(), DType::int64, 22});
      EXPECT_EQ(by_integers(decoded, type), words) << to_string(dtype);
    }
  }
}

/// Cuts `whole` at `cuts` random elements.
std::vector<std::vector<float>> cut_anywhere(const std::vector<float>& whole, std::size_t cuts,
                                             unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::size_t> ends{whole.size()};
  for (std::size_t i = 0; i < cuts; ++i) ends.push_back(random() % (whole.size() + 1));
  std::sort(ends.begin(), ends.end());
  std::vector<std::vector<float>> parts;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    parts.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(begin),
                       whole.begin() + static_cast<std::ptrdiff_t>(end));
    begin = end;
  }
  return parts;
}

TEST(ExactNorm, NoCutChangesABit) {
  for (const NormType type : {NormType::l1, NormType::l2}) {
    const ClipGradNorm clip{.norm_type = type, .exact = true};
    for (unsigned seed = 0; seed < 40; ++seed) {
      const std::vector<float> whole =
          between(6000 + seed, seed % 4 == 0 ? -149 : -30, seed % 3 == 0 ? 100 : 2, seed);
      Words sum(22, 0);
      for (const std::vector<float>& part : cut_anywhere(whole, seed % 7, seed)) {
        const Words words = measured(part, clip);
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += words[i];
      }
      FlatModel model({whole}, 0.0f);
      Optimizer optimizer{kShowsGradients, model.parameters()};
      optimizer.clip_grad_norm(clip);
      optimizer.step_measured({sum.data(), DType::int64, 22});
      const double of_shards = optimizer.grad_norm();
      optimizer.step();
      EXPECT_EQ(std::bit_cast<std::uint64_t>(of_shards), std::bit_cast<std::uint64_t>(optimizer.grad_norm()))
          << seed;
    }
  }
}

// measure_test.cpp derives how far leaves that are rounded may be off.
TEST(ExactNorm, TheUsualNormIsClose) {
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    const std::vector<float>& gradient = heavy_tailed_pool();
    const double usual = norm_of_pieces(gradient, {gradient.size()}, {.norm_type = type});
    const double exact = norm_of_pieces(gradient, {gradient.size()}, {.norm_type = type, .exact = true});
    EXPECT_LE(std::fabs(usual - exact), 0x1p-47 * exact);
  }
}

TEST(ExactNorm, FindsInfAndNaN) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const NormType type : {NormType::l1, NormType::l2}) {
    for (const auto& [bad, worse] : {std::pair{kInf, 1.0f},
                                     {-kInf, kInf},
                                     {std::nanf(""), 1.0f},
                                     {kInf, std::nanf("")},
                                     {-std::nanf(""), -kInf}}) {
      FlatModel model({between(5000, -3, 3, 1)}, 0.0f);
      model.grads[0][3333] = bad;
      model.grads[0][3334] = worse;
      Optimizer optimizer{kShowsGradients, model.parameters()};
      optimizer.set_gradient_handling(
          {.clip_norm = ClipGradNorm{.norm_type = type, .exact = true}, .nonfinite = NonFinite::error});
      optimizer.step();
      const bool is_nan = std::isnan(bad) || std::isnan(worse);
      EXPECT_TRUE(is_nan ? std::isnan(optimizer.grad_norm()) : optimizer.grad_norm() == kInf);
      EXPECT_EQ(optimizer.skipped_steps(), 1);
      try {
        optimizer.check();
        FAIL();
      } catch (const NonFiniteGradient& error) {
        EXPECT_NE(std::string(error.what()).find("element 3333 of \"t0\""), std::string::npos)
            << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace onepass::test
