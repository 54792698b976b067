// visit.hpp - the one place that maps the kind of a segment to the struct of its schedule.
#pragma once

#include <type_traits>

#include "onepass/schedules/constant_lr.hpp"
#include "onepass/schedules/cosine_annealing_lr.hpp"
#include "onepass/schedules/cosine_annealing_warm_restarts.hpp"
#include "onepass/schedules/cyclic_lr.hpp"
#include "onepass/schedules/lambda_lr.hpp"
#include "onepass/schedules/linear_lr.hpp"
#include "onepass/schedules/multi_step_lr.hpp"
#include "onepass/schedules/one_cycle_lr.hpp"
#include "onepass/schedules/polynomial_lr.hpp"
#include "onepass/schedules/step_lr.hpp"
#include "onepass/schedules/warmup_stable_decay.hpp"

namespace onepass::schedule {

/// The struct of Kind::identity, which has no parameters.
struct Identity {};

/// Calls visitor(std::type_identity<S>{}), where S is the struct of the segment's kind. Returns false,
/// without a call, if the kind is not one of the enumerators. To add a kind, add a line here; visitors that
/// need something special for it have an overload.
template <class Visitor>
ONEPASS_LANE bool visit(const Segment& segment, const Visitor& visitor) {
  switch (segment.kind) {
    case Kind::identity:
      return visitor(std::type_identity<Identity>{}), true;
    case Kind::step:
      return visitor(std::type_identity<StepLR>{}), true;
    case Kind::multi_step:
      return visitor(std::type_identity<MultiStepLR>{}), true;
    case Kind::constant:
      return visitor(std::type_identity<ConstantLR>{}), true;
    case Kind::linear:
      return visitor(std::type_identity<LinearLR>{}), true;
    case Kind::polynomial:
      return visitor(std::type_identity<PolynomialLR>{}), true;
    case Kind::cosine_annealing:
      return visitor(std::type_identity<CosineAnnealingLR>{}), true;
    case Kind::warm_restarts:
      return visitor(std::type_identity<CosineAnnealingWarmRestarts>{}), true;
    case Kind::one_cycle:
      return visitor(std::type_identity<OneCycleLR>{}), true;
    case Kind::cyclic:
      return visitor(std::type_identity<CyclicLR>{}), true;
    case Kind::warmup_stable_decay:
      return visitor(std::type_identity<WarmupStableDecay>{}), true;
    case Kind::table:
      return visitor(std::type_identity<LambdaLR>{}), true;
  }
  return false;
}

}  // namespace onepass::schedule
