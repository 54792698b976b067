// model.hpp - what steps and micro-batches must do, in float64 and from the documentation.
#pragma once

#include <cstdint>
#include <vector>

#include "fuzz/side.hpp"

namespace onepass::fuzz {

/// The state of a loss scaler.
struct ScaleModel {
  float scale = 1.0f;
  std::int64_t tracker = 0;

  /// Follows the documentation of LossScaler.
  void update(const LossScaler& settings, bool overflowed);
};

/// What an optimizer remembers that its state dict does not have. It is gone after a restoration.
struct Memory {
  double norm = 0.0;
  std::vector<double> group_norms;
  bool nonfinite = false;  ///< check() will throw.
};

/// What is set at both optimizers, and a shared loss scale.
struct Model {
  GradientHandling handling;  ///< Without pointers; the next three say whether there are any.
  bool has_found_inf = false, has_grad_scale = false, is_shared = false;
  ScaleModel own, shared;
  LossScaler shared_settings;
  bool shared_stepped = false, shared_overflowed = false;

  [[nodiscard]] bool skips() const;
  /// Settings that begin with another scale, or a scaler turned on or off, begin anew.
  void set_handling(const GradientHandling& next, bool shares);
};

/// A micro-batch as the model needs it.
struct BatchModel {
  float weight = 1.0f;  ///< As offered: 0 if the number at the pointer is bad.
  bool drops_nonfinite = false;
};

/// Changes `want`, the shot before a step, into that after it. Numbers of float32 are checked against those
/// of `after`, and taken from it, as those of other formats are.
void expect_step(Model& model, const Side& side, std::vector<Memory*> memories, Shot& want,
                 const Shot& after);
/// The same for a micro-batch.
void expect_accumulate(const Model& model, const Side& side, const BatchModel& batch, Shot& want,
                       const Shot& after);
/// Fills the gradients with zeros.
void expect_zero_gradients(const Side& side, Shot& want);

/// Penalty of all parameters as their values are; NaN if one of them is not finite.
double penalty(const Side& side, const Shot& shot, const std::vector<Rule>& rules);

}  // namespace onepass::fuzz
