// trial.hpp - a model with its optimizer and its reference, and the comparison of every float with the
// reference.
#pragma once

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/backend/rule_ops.hpp"
#include "step/table.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/rule_settings.hpp"

namespace onepass::test {

static_assert(reference::kMostStates >= step::kMaxStates);
static_assert(reference::kMostScalars == step::kMaxScalars);

/// Returns true if both are NaN, both are the same infinity (a reference beyond float32 counts as infinite),
/// or they differ by at most `tolerance`.
inline bool agrees(float actual, reference::Number expected, double tolerance) {
  if (std::isnan(expected.value)) return std::isnan(actual);
  if (std::fabs(expected.value) > double{FLT_MAX}) {
    return std::isinf(actual) && std::signbit(actual) == std::signbit(expected.value);
  }
  return std::fabs(static_cast<double>(actual) - expected.value) <= tolerance;
}

/// The floats of one tensor and its states, and its scalars.
struct Streams {
  std::vector<std::string> names;
  std::vector<std::span<const float>> floats;  // the parameter, then each state
  std::vector<const double*> scalars;

  Streams(Model& model, Optimizer& optimizer, std::size_t tensor, std::span<const char* const> scalar_names)
      : names{"p"}, floats{model.value(tensor).host()} {
    const std::string parameter = tensor_name(model.shape(tensor).id);
    for (const char* name : optimizer.state_names(parameter)) {
      const Tensor state = optimizer.state(parameter, name);
      names.emplace_back(name);
      floats.emplace_back(static_cast<const float*>(state.data), static_cast<std::size_t>(state.numel));
    }
    for (const char* name : scalar_names)
      scalars.push_back(static_cast<const double*>(optimizer.state(parameter, name).data));
  }

  [[nodiscard]] reference::Element element(std::size_t i) const {
    reference::Element e{.p = reference::Number(floats[0][i]), .state = {}, .scalar = {}};
    for (std::size_t s = 1; s < floats.size(); ++s) e.state[s - 1] = reference::Number(floats[s][i]);
    for (std::size_t s = 0; s < scalars.size(); ++s) e.scalar[s] = reference::Number(*scalars[s]);
    return e;
  }
};

/// 8 ulp at the magnitude of the terms. A run has a relative tolerance instead, because its bound adds up the
/// steps of many binades.
inline double one_step_tolerance(reference::Number expected) {
  return reference::kUlps * ulp_of(expected.magnitude);
}
inline double run_tolerance(reference::Number expected) { return expected.tolerance(); }

inline testing::AssertionResult agree(const Streams& streams, std::span<const reference::Element> expected,
                                      double (*tolerance)(reference::Number)) {
  for (std::size_t s = 0; s < streams.floats.size(); ++s) {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const reference::Number wanted = s == 0 ? expected[i].p : expected[i].state[s - 1];
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
  Optimizer optimizer;
  reference::Step reference;
  std::vector<Streams> streams;

  Trial(const Rule& rule, std::vector<Shape> shapes, const Options& options)
      : model(std::move(shapes)),
        optimizer(rule, model.parameters(), options),
        reference(reference_step(rule)) {
    const std::span<const char* const> scalars = rule.ops().variants.front().scalars;
    for (std::size_t tensor = 0; tensor < model.size(); ++tensor)
      streams.emplace_back(model, optimizer, tensor, scalars);
  }

  /// Takes step t of the reference, given the gradients of all tensors.
  void step_reference(std::int64_t t, std::vector<std::vector<reference::Element>>& elements,
                      const std::vector<std::vector<reference::Number>>& gradients) const {
    std::vector<reference::TensorStep> tensors;
    for (std::size_t tensor = 0; tensor < elements.size(); ++tensor)
      tensors.push_back({t, elements[tensor], gradients[tensor]});
    reference(tensors);
  }

  /// The gradients that lie in the model.
  [[nodiscard]] std::vector<std::vector<reference::Number>> gradients() {
    std::vector<std::vector<reference::Number>> all;
    for (std::size_t tensor = 0; tensor < model.size(); ++tensor) {
      const std::span<const float> floats = model.grad(tensor).host();
      all.emplace_back(floats.begin(), floats.end());
    }
    return all;
  }

  [[nodiscard]] std::vector<std::vector<reference::Element>> elements() const {
    std::vector<std::vector<reference::Element>> all(streams.size());
    for (std::size_t tensor = 0; tensor < all.size(); ++tensor) {
      all[tensor].resize(streams[tensor].floats[0].size());
      for (std::size_t i = 0; i < all[tensor].size(); ++i) all[tensor][i] = streams[tensor].element(i);
    }
    return all;
  }
};

}  // namespace onepass::test
