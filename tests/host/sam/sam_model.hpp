// sam_model.hpp - what a perturbation must make of the parameters of a FormatModel.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "reference/sam.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {

inline reference::Sam reference_of(const Sam& sam) { return {sam.rho, sam.adaptive, sam.eta}; }

/// SAM, ASAM with and without an eta, and one that moves far.
inline std::vector<Sam> sam_cases() {
  return {{.rho = 0.05},
          {.rho = 30.0},
          {.rho = 0.5, .adaptive = true},
          {.rho = 2.0, .adaptive = true, .eta = 0.01}};
}

/// A name for test failures.
inline std::string text(const Sam& sam) {
  return std::string(sam.adaptive ? "ASAM" : "SAM") + " rho " + std::to_string(sam.rho) + " eta " +
         std::to_string(sam.eta);
}

inline Optimizer format_optimizer(const FormatModel& model, const FormatCase& format, Options options = {}) {
  options.storage = format.low(), options.float32_storage = format.wide();
  return Optimizer(AdamW{.lr = 0.01, .weight_decay = 0.1}, model.parameters(), options);
}

/// The numbers that training uses, of all tensors.
inline std::vector<std::vector<float>> trained_params(const FormatCase& format, const FormatModel& model,
                                                      const StateDict& dict) {
  std::vector<std::vector<float>> params;
  for (std::size_t t = 0; t < model.size(); ++t) {
    params.push_back(decoded_param(format, model.value(t), dict.parameters[t]));
  }
  return params;
}

inline std::vector<std::vector<float>> gradients_of(const FormatModel& model) {
  std::vector<std::vector<float>> gradients;
  for (std::size_t t = 0; t < model.size(); ++t) gradients.push_back(model.grad(t).floats());
  return gradients;
}

inline std::vector<std::vector<std::byte>> value_bytes(const FormatModel& model) {
  std::vector<std::vector<std::byte>> bytes;
  for (std::size_t t = 0; t < model.size(); ++t) bytes.push_back(model.value(t).bytes());
  return bytes;
}

/// The largest error of a moved element in float32. Of |p| + eta, its product with g, the factor, and the
/// product with that, each is rounded once, by 2^-24 of it, and |p| + eta counts twice. The terms of the norm
/// are off by 2 * 2^-24 each, so it is too; it is added with an error below 2^-50. That makes 7 * 2^-24 of
/// the way, and no more than 2^-24 if it is not adaptive, where the factor alone is rounded. The sum is
/// rounded by 2^-24 of it, and a product that is denormal by 2^-150.
inline long double error_of(const reference::Sam& sam, long double way, long double moved) {
  const long double u = 0x1p-24L * 1.001L;
  return (sam.adaptive ? 7.0L : 1.0L) * u * std::fabs(way) + u * std::fabs(moved) + 0x1p-148L;
}

/// Rounds to nearest in a type.
inline float rounded_to(DType dtype, long double x) {
  std::byte bytes[4];
  encode(dtype, static_cast<float>(x), bytes, 0);
  return decoded(dtype, bytes, 0);
}

/// Succeeds if every element is where the reference says, up to the rounding to its type.
inline testing::AssertionResult is_where(const reference::Sam& sam, DType dtype,
                                         const std::vector<float>& from, const std::vector<float>& gradient,
                                         const std::vector<float>& actual, long double norm,
                                         double scale = 1.0) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    const long double way = sam.moved_by(from[i], gradient[i], norm, scale);
    const long double moved = from[i] + way;
    const long double error = error_of(sam, way, moved);
    if (actual[i] >= rounded_to(dtype, moved - error) && actual[i] <= rounded_to(dtype, moved + error))
      continue;
    return testing::AssertionFailure()
           << "element " << i << " moved from " << shown(from[i]) << " to " << shown(actual[i])
           << ", but should to " << static_cast<double>(moved);
  }
  return testing::AssertionSuccess();
}

}  // namespace onepass::test
