// conformance.cpp - every awkward size at every misalignment, 200 steps, element by element.
#include "optimizers/conformance.hpp"

#include <cmath>

#include "support/compare.hpp"
#include "support/sizes.hpp"
#include "support/values.hpp"

namespace onepass::test {
namespace {

using reference::Element;
using reference::Number;

constexpr std::int64_t kSteps = 200;

/// Every size at every misalignment of value and gradient, empties first, in the middle and last.
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

/// NaN for NaN, an infinity for the same one (a value beyond float32 counts as one), and otherwise no further
/// from the reference than `tolerance`.
bool agrees(float actual, Number expected, double tolerance) {
  if (std::isnan(expected.value)) return std::isnan(actual);
  if (std::fabs(expected.value) > double{FLT_MAX}) {
    return std::isinf(actual) && std::signbit(actual) == std::signbit(expected.value);
  }
  return std::fabs(static_cast<double>(actual) - expected.value) <= tolerance;
}

/// The floats of one tensor and its states.
struct Streams {
  std::vector<std::string> names;
  std::vector<std::span<const float>> floats;  // the parameter, then each state

  Streams(Model& model, AnyOptimizer& optimizer, std::size_t tensor)
      : names{"p"}, floats{model.value(tensor).host()} {
    for (const char* name : optimizer.state_names()) {
      const Tensor state = optimizer.state(tensor_name(model.shape(tensor).id), name);
      names.emplace_back(name);
      floats.emplace_back(static_cast<const float*>(state.data), static_cast<std::size_t>(state.numel));
    }
  }

  [[nodiscard]] Element element(std::size_t i) const {
    Element e{.p = Number(floats[0][i]), .state = {}};
    for (std::size_t s = 1; s < floats.size(); ++s) e.state[s - 1] = Number(floats[s][i]);
    return e;
  }
};

/// 8 ulp at the magnitude itself; a run's bound adds up many steps, so that no one binade is its own.
double one_step_tolerance(Number expected) { return reference::kUlps * ulp_of(expected.magnitude); }
double run_tolerance(Number expected) { return expected.tolerance(); }

testing::AssertionResult agree(const Streams& streams, std::span<const Element> expected,
                               double (*tolerance)(Number)) {
  for (std::size_t s = 0; s < streams.floats.size(); ++s) {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const Number wanted = s == 0 ? expected[i].p : expected[i].state[s - 1];
      const float actual = streams.floats[s][i];
      if (agrees(actual, wanted, tolerance(wanted))) continue;
      return testing::AssertionFailure()
             << streams.names[s] << "[" << i << "] of " << expected.size() << " is " << shown(actual)
             << ", the reference has " << wanted.value << " (" << shown(static_cast<float>(wanted.value))
             << "), off by "
             << std::fabs(static_cast<double>(actual) - wanted.value) / ulp_of(wanted.magnitude)
             << " ulp of the terms' magnitude " << wanted.magnitude << ", allowed "
             << tolerance(wanted) / ulp_of(wanted.magnitude);
    }
  }
  return testing::AssertionSuccess();
}

struct Trial {
  Model model;
  AnyOptimizerPtr optimizer;
  std::vector<Streams> streams;

  Trial(const Subject& subject, std::vector<Shape> shapes, const Options& options)
      : model(std::move(shapes)), optimizer(subject.make(model.parameters(), options)) {
    for (std::size_t tensor = 0; tensor < model.size(); ++tensor)
      streams.emplace_back(model, *optimizer, tensor);
  }

  [[nodiscard]] std::vector<std::vector<Element>> elements() const {
    std::vector<std::vector<Element>> all(streams.size());
    for (std::size_t tensor = 0; tensor < all.size(); ++tensor) {
      all[tensor].resize(streams[tensor].floats[0].size());
      for (std::size_t i = 0; i < all[tensor].size(); ++i) all[tensor][i] = streams[tensor].element(i);
    }
    return all;
  }
};

/// From the second step on the float32 run is where it is, not where the reference is.
void carry(std::span<Element> elements) {
  for (Element& e : elements) {
    e.p = e.p.carried();
    for (Number& state : e.state) state = state.carried();
  }
}

/// Steps both. With `from_same_state` the reference starts each step from the library's floats.
void expect_agreement(const Subject& subject, bool from_same_state, double (*tolerance)(Number)) {
  Trial run(subject, every_shape(64), Options{.chunk_size = 64});
  std::vector<std::vector<Element>> expected = run.elements();
  for (std::int64_t t = 1; t <= kSteps; ++t) {
    if (from_same_state) {
      expected = run.elements();
    } else {
      for (std::vector<Element>& elements : expected) carry(elements);
    }
    run.model.draw_gradients(t, kSteps);
    run.optimizer->step();
    for (std::size_t tensor = 0; tensor < expected.size(); ++tensor) {
      subject.reference(t, expected[tensor], run.model.grad(tensor).host());
      const testing::AssertionResult same = agree(run.streams[tensor], expected[tensor], tolerance);
      const Shape& shape = run.model.shape(tensor);
      ASSERT_TRUE(same) << "step " << t << ", tensor " << tensor << ", value misaligned by "
                        << shape.value_misalignment << " floats, gradient by " << shape.grad_misalignment;
    }
  }
  EXPECT_TRUE(run.model.intact());
}

}  // namespace

TEST_P(Conformance, EveryStepIsWithinEightUlpOfItsTerms) {
  expect_agreement(GetParam(), true, one_step_tolerance);
}

// The bound is the recurrence of the rounding error, beside the value: see reference/number.hpp.
TEST_P(Conformance, TwoHundredStepsStayWithinTheDerivedBound) {
  expect_agreement(GetParam(), false, run_tolerance);
}

// So what is shown of chunks of 64 holds for others; 192 is no power of two, 0 is what the library chooses.
TEST_P(Conformance, ChunkSizeDoesNotChangeABit) {
  for (const std::int64_t chunk_size : {128, 192, 0}) {
    Trial small(GetParam(), every_shape(chunk_size == 0 ? 64 : chunk_size), Options{.chunk_size = 64});
    Trial other(GetParam(), every_shape(chunk_size == 0 ? 64 : chunk_size),
                Options{.chunk_size = chunk_size});
    train(small.model, *small.optimizer, 5);
    train(other.model, *other.optimizer, 5);
    EXPECT_TRUE(equal_bits(snapshot(small.model.parameters(), *small.optimizer),
                           snapshot(other.model.parameters(), *other.optimizer)))
        << "chunk size " << chunk_size;
    EXPECT_TRUE(other.model.intact());
  }
}

}  // namespace onepass::test
