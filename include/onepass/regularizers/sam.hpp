// sam.hpp - sharpness-aware minimization: a step by the gradients at a place nearby where the loss is higher.
#pragma once

namespace onepass {

/// Where Optimizer::perturb() moves the parameters, between a first and a second backward pass:
///
///     backward(); optimizer.perturb(Sam{.rho = 0.05}); zero_grad(); backward(); optimizer.step();
///
/// SAM (Foret et al. 2021, arXiv 2010.01412), for the gradients g of all parameters:
///
///     p = p + rho * g / (norm(g) + 1e-12)
///
/// Adaptive SAM, ASAM (Kwon et al. 2021, arXiv 2102.11600), moves large parameters further:
///
///     t = |p| + eta
///     p = p + rho * t * t * g / (norm(t * g) + 1e-12)
///
/// The norm is the Euclidean one over all elements of all parameters that have a gradient, of all groups. Its
/// squares are added exactly. Gradients are unscaled first: divided by the loss scale and by the weight of
/// micro-batches. They are not clipped; weight decay and `maximize` have no part. p is the number that
/// training uses, the master if there is one. It is moved in float32, rounded to nearest, and written to the
/// parameter and its 16-bit copy alone.
///
/// Parameters without a gradient stay where they are. So do all if a gradient, or the loss scale, is not
/// finite, or if all gradients are 0. perturb() uses the gradients up: it drops micro-batches, and zeroes
/// gradients if steps do so (GradientHandling::zero_grad). Otherwise the second backward pass must not add to
/// those of the first.
///
/// The first call allocates memory for what it keeps, of the size of the parameters and their copies, so make
/// it before you capture a graph. A graph keeps rho and eta. A replay does nothing if the parameters are
/// moved already, nor does one of restore() if they are not.
///
/// perturb() throws InvalidArgument if a member is out of range, in a round, if the parameters are perturbed
/// already, and if one is known to be a part of a larger tensor (measure_perturbation() is for shards). Until
/// the parameters are put back, state_dict(), load_state_dict(), save(), load(), add_parameters() and
/// remove_parameters() throw InvalidArgument.
struct Sam {
  double rho = 0.05;      ///< How far; >= 0 and finite in float32. ASAM takes some ten times as much.
  bool adaptive = false;  ///< ASAM.
  double eta = 0.0;       ///< >= 0 and finite in float32; 0.01 in the paper of ASAM. SAM takes none.

  bool operator==(const Sam&) const = default;
};

}  // namespace onepass
