// conformance.cpp - every rule agrees with its float64 reference, element by element, at every awkward size
// and misalignment, for 200 steps.
#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

#include "optimizers/trial.hpp"
#include "reference/all_references.hpp"
#include "support/named.hpp"
#include "support/numbers/sizes.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

using reference::Element;
using reference::Number;

constexpr std::int64_t kSteps = 200;

/// Every size at every misalignment of value and gradient, with empty tensors first, in between and last.
std::vector<Shape> every_shape(std::int64_t chunk_size) {
  std::vector<Shape> shapes{{.numel = 0}};
  for (const std::int64_t numel : awkward_sizes(chunk_size)) {
    for (int value = 0; value < kMisalignments; ++value) {
      for (int grad = 0; grad < kMisalignments; ++grad) {
        shapes.push_back({.numel = numel, .value_misalignment = value, .grad_misalignment = grad});
      }
    }
    shapes.push_back({.numel = 0});
  }
  return shapes;
}

/// Every size once, with the misalignments of value and gradient in rotation: L1 depends on neither.
std::vector<Shape> every_size(std::int64_t chunk_size) {
  std::vector<Shape> shapes{{.numel = 0}};
  for (const std::int64_t numel : awkward_sizes(chunk_size)) {
    const int n = static_cast<int>(shapes.size());
    shapes.push_back({.numel = numel,
                      .value_misalignment = n % kMisalignments,
                      .grad_misalignment = n / kMisalignments % kMisalignments});
  }
  return shapes;
}

/// Runs kSteps steps of the library and of the reference, and compares them after each. With
/// `from_same_state` the reference starts each step from the library's floats.
void expect_agreement(const Rule& rule, const std::vector<Shape>& shapes, bool from_same_state,
                      double (*tolerance)(Number)) {
  Trial run(rule, shapes, Options{.chunk_size = 64});
  std::vector<std::vector<Element>> expected = run.elements();
  for (std::int64_t t = 1; t <= kSteps; ++t) {
    if (from_same_state) {
      expected = run.elements();
    } else {
      for (std::vector<Element>& elements : expected) {
        for (Element& e : elements) e.carry();
      }
    }
    run.model.draw_gradients(t, kSteps);
    run.optimizer.step();
    run.step_reference(t, expected, run.gradients());
    for (std::size_t tensor = 0; tensor < expected.size(); ++tensor) {
      const testing::AssertionResult same = agree(run.streams[tensor], expected[tensor], tolerance);
      const Shape& shape = run.model.shape(tensor);
      ASSERT_TRUE(same) << "step " << t << ", tensor " << tensor << ", value misaligned by "
                        << shape.value_misalignment << " floats, gradient by " << shape.grad_misalignment;
    }
  }
  EXPECT_TRUE(run.model.intact());
}

// Shows that results for chunks of 64 hold for other sizes. 192 is not a power of two. For 0 the library
// chooses the size.
void expect_same_bits_for_any_chunk_size(const Rule& rule, std::vector<Shape> (*shapes)(std::int64_t)) {
  for (const std::int64_t chunk_size : {128, 192, 0}) {
    Trial small(rule, shapes(chunk_size == 0 ? 64 : chunk_size), Options{.chunk_size = 64});
    Trial other(rule, shapes(chunk_size == 0 ? 64 : chunk_size), Options{.chunk_size = chunk_size});
    train(small.model, small.optimizer, 5);
    train(other.model, other.optimizer, 5);
    EXPECT_TRUE(equal_bits(snapshot(small.model.parameters(), small.optimizer),
                           snapshot(other.model.parameters(), other.optimizer)))
        << "chunk size " << chunk_size;
    EXPECT_TRUE(other.model.intact());
  }
}

/// Options without L1.
class Conformance : public testing::TestWithParam<RuleCase> {};

/// The same tests for options with L1::proximal. Its operator never moves two numbers further apart, so the
/// bound after 200 steps still holds.
class ProximalConformance : public testing::TestWithParam<RuleCase> {};

/// The same tests with L1::subgradient, except the one of 200 steps: sign(p) jumps at 0, so no bound of the
/// distance after many steps can be derived.
class SubgradientConformance : public testing::TestWithParam<RuleCase> {};

#define INSTANTIATE_CONFORMANCE(Name)                                                             \
  INSTANTIATE_TEST_SUITE_P(Name, Conformance, testing::ValuesIn(options_of(#Name)), by_name);     \
  INSTANTIATE_TEST_SUITE_P(Name, ProximalConformance,                                             \
                           testing::ValuesIn(with_l1(options_of(#Name), L1::proximal)), by_name); \
  INSTANTIATE_TEST_SUITE_P(Name, SubgradientConformance,                                          \
                           testing::ValuesIn(with_l1(options_of(#Name), L1::subgradient)), by_name);
FOR_EACH_RULE(INSTANTIATE_CONFORMANCE)
#undef INSTANTIATE_CONFORMANCE

TEST_P(Conformance, EveryStepIsWithinEightUlpOfItsTerms) {
  expect_agreement(GetParam().rule, every_shape(64), true, one_step_tolerance);
}

// The reference computes the bound beside the value, by the recurrence of the rounding error
// (reference/number.hpp).
TEST_P(Conformance, TwoHundredStepsStayWithinTheDerivedBound) {
  expect_agreement(GetParam().rule, every_shape(64), false, run_tolerance);
}

TEST_P(Conformance, ChunkSizeDoesNotChangeABit) {
  expect_same_bits_for_any_chunk_size(GetParam().rule, every_shape);
}

TEST_P(ProximalConformance, EveryStepIsWithinEightUlpOfItsTerms) {
  expect_agreement(GetParam().rule, every_size(64), true, one_step_tolerance);
}

TEST_P(ProximalConformance, TwoHundredStepsStayWithinTheDerivedBound) {
  expect_agreement(GetParam().rule, every_size(64), false, run_tolerance);
}

TEST_P(ProximalConformance, ChunkSizeDoesNotChangeABit) {
  expect_same_bits_for_any_chunk_size(GetParam().rule, every_size);
}

TEST_P(SubgradientConformance, EveryStepIsWithinEightUlpOfItsTerms) {
  expect_agreement(GetParam().rule, every_size(64), true, one_step_tolerance);
}

TEST_P(SubgradientConformance, ChunkSizeDoesNotChangeABit) {
  expect_same_bits_for_any_chunk_size(GetParam().rule, every_size);
}

}  // namespace
}  // namespace onepass::test
