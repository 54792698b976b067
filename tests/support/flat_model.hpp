// flat_model.hpp - parameters on the CPU whose values and gradients the test writes itself.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "support/model.hpp"

namespace onepass::test {

/// Parameters "t0", "t1", ... with these gradients; all values start at `start`.
struct FlatModel {
  std::vector<std::vector<float>> values;
  std::vector<std::vector<float>> grads;

  explicit FlatModel(std::vector<std::vector<float>> gradients, float start) : grads(std::move(gradients)) {
    for (const std::vector<float>& grad : grads) values.emplace_back(grad.size(), start);
  }
  FlatModel(const FlatModel&) = delete;
  FlatModel& operator=(const FlatModel&) = delete;

  [[nodiscard]] std::vector<Parameter> parameters() {
    std::vector<Parameter> all;
    for (std::size_t i = 0; i < values.size(); ++i) {
      all.push_back({.name = tensor_name(static_cast<int>(i)),
                     .value = std::span(values[i]),
                     .grad = std::span(grads[i])});
    }
    return all;
  }
};

/// Plain SGD with lr = 1. Starting from values of 0, one step leaves the negated gradients that the rule saw.
constexpr SGD kShowsGradients{.lr = 1.0};

}  // namespace onepass::test
