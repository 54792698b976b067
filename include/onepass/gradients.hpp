// gradients.hpp - what happens to gradients between the backward pass and the rules.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace onepass {

/// The norm of all gradients of a model, taken together as one vector.
enum class NormType : unsigned {
  l1,        ///< sum |g|
  l2,        ///< sqrt(sum g^2)
  infinity,  ///< max |g|
};

/// How a norm becomes a coefficient.
enum class ClipFormula : unsigned {
  pytorch,  ///< min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_.
  exact,    ///< min(1, max_norm / norm); 1 where the norm is 0.
};

/// Clipping by global norm (Pascanu et al. 2013, arXiv 1211.5063): every gradient is multiplied by the same
/// coefficient. The norm is that of the gradients as the loss had them, that is, unscaled and averaged over
/// micro-batches. Gradients are read once more and never rewritten. Leaves of 1,024 elements are added in
/// double in a fixed tree, and the leaves exactly: the norm has the same bits on CPU and CUDA, and for any
/// order, grouping and packing of the tensors.
struct ClipGradNorm {
  double max_norm = std::numeric_limits<double>::infinity();  ///< >= 0; infinite: measure only.
  NormType norm_type = NormType::l2;
  ClipFormula formula = ClipFormula::pytorch;

  bool operator==(const ClipGradNorm&) const = default;
};

/// What a step does when a gradient has an Inf or a NaN. Decided on the device, on the elements: a finite
/// gradient of 1e20 is none, though its square is beyond float32.
enum class NonFinite : unsigned {
  propagate,  ///< As if it were finite. Nothing is looked for.
  skip,       ///< Nothing moves, no step is counted, skipped_steps() grows; fused zeroing still zeroes.
  error,      ///< As skip, and the next check() throws, naming the first tensor and element.
};

/// Dynamic loss scaling, as torch.amp.GradScaler (Micikevicius et al. 2018, arXiv 1710.03740): a step with a
/// gradient that is not finite is skipped and multiplies the scale by backoff_factor; growth_interval steps
/// in a row without one multiply it by growth_factor, unless it would overflow. The scale is a float32 in the
/// device's memory, see Optimizer::loss_scale_pointer().
struct LossScaler {
  double init_scale = 65536.0;          ///< > 0.
  double growth_factor = 2.0;           ///< > 1.
  double backoff_factor = 0.5;          ///< In (0, 1).
  std::int64_t growth_interval = 2000;  ///< Steps; > 0.

  bool operator==(const LossScaler&) const = default;
};

/// What a step does with the gradients it finds, in this order: divide by the loss scale and by the number of
/// micro-batches, clip by norm (all of it one multiplication), clip by value; then the rule, with its
/// penalties.
struct GradientHandling {
  std::optional<ClipGradNorm> clip_norm = std::nullopt;
  double clip_value =
      std::numeric_limits<double>::infinity();  ///< g = clamp(g, -clip_value, clip_value); >= 0.
  NonFinite nonfinite = NonFinite::propagate;
  double loss_scale = 1.0;  ///< What the loss was multiplied by, as float32; > 0. Not beside a scaler.
  std::optional<LossScaler> loss_scaler = std::nullopt;  ///< Skips as NonFinite::skip does.
  bool zero_grad = false;  ///< Leaves zeros where a step (or accumulate) found the gradients.

  /// The caller's own scaler, in the optimizer's device memory, as PyTorch's fused optimizers take it: a step
  /// that finds *found_inf nonzero when it runs is skipped; *grad_scale is divided out and replaces
  /// loss_scale. Null for none.
  const float* found_inf = nullptr;
  const float* grad_scale = nullptr;

  bool operator==(const GradientHandling&) const = default;
};

}  // namespace onepass
