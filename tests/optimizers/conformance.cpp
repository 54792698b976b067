// conformance.cpp - rules agree with their references, element by element, at every awkward size and
// misalignment, for 200 steps.
#include "optimizers/conformance.hpp"

#include "optimizers/trial.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/sizes.hpp"

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

/// Makes the error of the float32 run so far an error of the next step's arguments.
void carry(std::span<Element> elements) {
  for (Element& e : elements) {
    e.p = e.p.carried();
    for (Number& state : e.state) state = state.carried();
  }
}

/// Runs kSteps steps of the library and of the reference, and compares them after each. With
/// `from_same_state` the reference starts each step from the library's floats.
void expect_agreement(const Subject& subject, const std::vector<Shape>& shapes, bool from_same_state,
                      double (*tolerance)(Number)) {
  Trial run(subject, shapes, Options{.chunk_size = 64});
  std::vector<std::vector<Element>> expected = run.elements();
  std::vector<Number> gradient;
  for (std::int64_t t = 1; t <= kSteps; ++t) {
    if (from_same_state) {
      expected = run.elements();
    } else {
      for (std::vector<Element>& elements : expected) carry(elements);
    }
    run.model.draw_gradients(t, kSteps);
    run.optimizer->step();
    for (std::size_t tensor = 0; tensor < expected.size(); ++tensor) {
      const std::span<const float> floats = run.model.grad(tensor).host();
      gradient.assign(floats.begin(), floats.end());
      subject.reference(t, expected[tensor], gradient);
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
void expect_same_bits_for_any_chunk_size(const Subject& subject, std::vector<Shape> (*shapes)(std::int64_t)) {
  for (const std::int64_t chunk_size : {128, 192, 0}) {
    Trial small(subject, shapes(chunk_size == 0 ? 64 : chunk_size), Options{.chunk_size = 64});
    Trial other(subject, shapes(chunk_size == 0 ? 64 : chunk_size), Options{.chunk_size = chunk_size});
    train(small.model, *small.optimizer, 5);
    train(other.model, *other.optimizer, 5);
    EXPECT_TRUE(equal_bits(snapshot(small.model.parameters(), *small.optimizer),
                           snapshot(other.model.parameters(), *other.optimizer)))
        << "chunk size " << chunk_size;
    EXPECT_TRUE(other.model.intact());
  }
}

}  // namespace

TEST_P(Conformance, EveryStepIsWithinEightUlpOfItsTerms) {
  expect_agreement(GetParam(), every_shape(64), true, one_step_tolerance);
}

// The reference computes the bound beside the value, by the recurrence of the rounding error
// (reference/number.hpp).
TEST_P(Conformance, TwoHundredStepsStayWithinTheDerivedBound) {
  expect_agreement(GetParam(), every_shape(64), false, run_tolerance);
}

TEST_P(Conformance, ChunkSizeDoesNotChangeABit) {
  expect_same_bits_for_any_chunk_size(GetParam(), every_shape);
}

TEST_P(ProximalConformance, EveryStepIsWithinEightUlpOfItsTerms) {
  expect_agreement(GetParam(), every_size(64), true, one_step_tolerance);
}

TEST_P(ProximalConformance, TwoHundredStepsStayWithinTheDerivedBound) {
  expect_agreement(GetParam(), every_size(64), false, run_tolerance);
}

TEST_P(ProximalConformance, ChunkSizeDoesNotChangeABit) {
  expect_same_bits_for_any_chunk_size(GetParam(), every_size);
}

TEST_P(SubgradientConformance, EveryStepIsWithinEightUlpOfItsTerms) {
  expect_agreement(GetParam(), every_size(64), true, one_step_tolerance);
}

TEST_P(SubgradientConformance, ChunkSizeDoesNotChangeABit) {
  expect_same_bits_for_any_chunk_size(GetParam(), every_size);
}

}  // namespace onepass::test
