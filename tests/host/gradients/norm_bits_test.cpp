// norm_bits_test.cpp - order, grouping, alignment, chunks, threads and instruction set change no bit of the
// gradient norm, and none of a step that is clipped by it.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
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
double norm_of_pieces(const std::vector<float>& whole, const std::vector<std::size_t>& sizes, NormType type) {
  std::vector<std::vector<float>> pieces;
  std::size_t begin = 0;
  for (const std::size_t size : sizes) {
    pieces.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(begin),
                        whole.begin() + static_cast<std::ptrdiff_t>(begin + size));
    begin += size;
  }
  FlatModel model(pieces, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.clip_grad_norm({.norm_type = type});
  optimizer.step();
  return optimizer.grad_norm();
}

// Leaves of 1,024 elements are added exactly, so it does not matter how they are packed into tensors.
TEST_P(NormBits, PackingOfWholeLeavesDoesNotChangeABit) {
  std::vector<float> whole(9 * 1024 + 77);
  draw_gradient(whole, 5, 1, 200);
  const double wanted = norm_of_pieces(whole, {whole.size()}, GetParam());
  EXPECT_GT(wanted, 0.0);
  for (const std::vector<std::size_t>& sizes : {std::vector<std::size_t>{1024, 0, 8 * 1024 + 77},
                                                {5 * 1024, 4 * 1024 + 77},
                                                {4096, 4096, 1024, 77}}) {
    EXPECT_EQ(std::bit_cast<std::uint64_t>(wanted),
              std::bit_cast<std::uint64_t>(norm_of_pieces(whole, sizes, GetParam())));
  }
}

}  // namespace
}  // namespace onepass::test
