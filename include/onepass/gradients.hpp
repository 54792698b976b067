// gradients.hpp - clipping, unscaling and checking of gradients before the rules see them.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace onepass {

class SharedLossScaler;

/// The norm of all gradients of a model, taken as one vector.
enum class NormType : unsigned {
  l1,        ///< sum |g|
  l2,        ///< sqrt(sum g^2)
  infinity,  ///< max |g|
};

/// The formula of the clipping coefficient.
enum class ClipFormula : unsigned {
  pytorch,  ///< min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_.
  exact,    ///< min(1, max_norm / norm); 1 if the norm is 0.
};

/// Clipping by norm (Pascanu et al. 2013, arXiv 1211.5063): the step multiplies every gradient by the same
/// coefficient, those of each group by the group's own, or each gradient by its own.
///
/// The norm is that of the unscaled gradients, averaged over micro-batches by their weights. The step reads
/// the gradients once more for it and does not rewrite them. It adds the 1,024 elements of each leaf in
/// double in a fixed tree, and adds the leaves exactly, so the norm has the same bits on CPU and CUDA and for
/// any order, grouping and packing of the tensors.
struct ClipGradNorm {
  double max_norm = std::numeric_limits<double>::infinity();  ///< >= 0; infinity only measures the norm.
  NormType norm_type = NormType::l2;
  ClipFormula formula = ClipFormula::pytorch;
  /// If set, each parameter group is clipped by the norm of its own gradients, as by one clip_grad_norm_ for
  /// each group. Optimizer::grad_norm(group) returns these norms, and grad_norm() that of all gradients.
  bool per_group = false;
  /// If set, the gradient of each parameter is clipped by its own norm, as by one clip_grad_norm_ for each
  /// parameter. Optimizer::grad_norm(name) returns these norms, and grad_norm() that of all gradients. Not
  /// together with `per_group`. A shard clips by the norm of its part, unless shards measure together.
  bool per_parameter = false;
  /// If set, every square or magnitude is added as an integer, and a leaf is not rounded: the norm has the
  /// same bits wherever a model is cut into shards, in the whole as in its parts. Without it that holds for
  /// cuts at multiples of 1,024 elements of a tensor, and other cuts change the norm by less than 2^-45 of
  /// it.
  bool exact = false;

  bool operator==(const ClipGradNorm&) const = default;
};

/// The policy of a step for gradients with an Inf or a NaN. The device detects them by testing each element,
/// not the norm, so 1e20 counts as finite although its square overflows.
enum class NonFinite : unsigned {
  propagate,  ///< Uses the gradient like any other. The step does not test for Inf and NaN.
  skip,       ///< Changes nothing, counts no step and increments skipped_steps(). zero_grad still acts.
  error,      ///< Like skip, and the next Optimizer::check() throws, naming the first tensor and element, or
              ///< the loss scale.
};

/// Dynamic loss scaling, as torch.amp.GradScaler (Micikevicius et al. 2018, arXiv 1710.03740).
///
/// A step that finds a gradient that is not finite is skipped and multiplies the scale by backoff_factor.
/// After growth_interval steps in a row without one, the scale is multiplied by growth_factor, unless it
/// would exceed max_scale. The scale is a float32 in the device's memory; see
/// Optimizer::loss_scale_pointer().
///
/// Deviation from PyTorch: the scale has a floor. PyTorch's reaches 0 after 166 skipped steps in a row, and
/// every later step is skipped. The default floor, the smallest normal float32, leaves every scale that
/// PyTorch can still divide by as it is. Set min_scale to 1, say, if your model's gradients lose their digits
/// below.
///
/// Scales and factors must be finite in float32, and must be in their ranges there.
struct LossScaler {
  double init_scale = 65536.0;          ///< In [min_scale, max_scale].
  double growth_factor = 2.0;           ///< > 1.
  double backoff_factor = 0.5;          ///< In (0, 1).
  std::int64_t growth_interval = 2000;  ///< Steps; > 0.
  double min_scale = 0x1p-126;          ///< > 0, and its inverse finite in float32: >= 2.94e-39.
  double max_scale = std::numeric_limits<float>::max();  ///< >= min_scale.

  bool operator==(const LossScaler&) const = default;
};

/// How Optimizer::accumulate() adds a micro-batch to the sum of gradients: sum = fma(weight, g, sum) in
/// float32. The step then uses sum / (sum of the weights), which is the weighted mean.
///
/// If the loss of each micro-batch is the mean over its tokens, and the weight is their number, then the step
/// uses the mean over the tokens of all micro-batches. A common factor of all weights changes nothing but
/// roundings.
struct MicroBatch {
  /// 0, or a number that is above 0 and finite as float32. A micro-batch of weight 0 adds nothing, as if
  /// accumulate() had not been called, even if its gradients are not finite; zero_grad still acts.
  double weight = 1.0;
  /// Pointer to the weight in memory of the optimizer's device, read when the call runs, so that a captured
  /// graph follows it. Replaces `weight`. A number there that is negative or not finite counts as 0. Null for
  /// none.
  const float* weight_pointer = nullptr;
  /// If set, the device first tests the gradients, and drops a micro-batch with one that is not finite: it
  /// adds nothing and counts in dropped_micro_batches(), and the step takes the mean of the others. A loss
  /// scaler backs off at that step. This reads the gradients once more, in one launch more on CUDA.
  bool drop_nonfinite = false;
};

/// The operations of a step on the gradients before the rule, in this order: divide by the loss scale and by
/// the weight of the micro-batches, and clip by norm (together one multiplication); then clip by value. The
/// rule and its penalties come after that.
///
/// A graph captured while no norm was needed (no clip_norm, no loss scaler, NonFinite::propagate) contains no
/// norm launch. Capture it again after turning one of these on. The scale restarts from its initial value if
/// loss_scale or LossScaler::init_scale changes, or the scaler is turned on or off. It goes on if other
/// settings of the scaler change, and comes into [min_scale, max_scale] at the next step.
struct GradientHandling {
  std::optional<ClipGradNorm> clip_norm = std::nullopt;  ///< Not set: no clipping by norm.
  double clip_value =
      std::numeric_limits<double>::infinity();  ///< g = clamp(g, -clip_value, clip_value); >= 0.
  NonFinite nonfinite = NonFinite::propagate;
  /// Factor by which you multiplied the loss; not with a scaler. > 0 and finite in float32, and its inverse
  /// too: >= 2.94e-39.
  double loss_scale = 1.0;
  std::optional<LossScaler> loss_scaler = std::nullopt;  ///< Implies NonFinite::skip.
  /// A loss scale that several optimizers share (shared_loss_scaler.hpp), on their device; not with
  /// loss_scale, loss_scaler or grad_scale. Implies NonFinite::skip. Null for none. It must live as long as
  /// it is attached.
  const SharedLossScaler* shared_scaler = nullptr;
  /// If set, step() (or accumulate()) overwrites the gradients with zeros. Gradients must not share memory
  /// then.
  bool zero_grad = false;

  /// Your own loss scaler, as PyTorch's fused optimizers take it: pointers to memory on the optimizer's
  /// device, read when the step runs. Null for none. A step that finds *found_inf nonzero is skipped.
  const float* found_inf = nullptr;
  /// The step divides the gradients by *grad_scale, which replaces loss_scale. If 1 / *grad_scale is 0 or not
  /// finite in float32, the gradients count as not finite for NonFinite::skip and NonFinite::error.
  const float* grad_scale = nullptr;

  bool operator==(const GradientHandling&) const = default;
};

}  // namespace onepass
