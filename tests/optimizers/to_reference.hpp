// to_reference.hpp - converts each rule to its float64 reference with the same hyperparameters.
#pragma once

#include "onepass/onepass.hpp"
#include "reference/adamw.hpp"
#include "reference/rmsprop.hpp"
#include "reference/sgd.hpp"

namespace onepass::test {

template <class Rule>
reference::Shared shared_reference(const Rule& rule) {
  return {.lr = rule.lr,
          .weight_decay = rule.weight_decay,
          .decoupled = rule.weight_decay_mode == WeightDecay::decoupled,
          .maximize = rule.maximize,
          .l1 = rule.l1,
          .proximal = rule.l1_mode == L1::proximal};
}

inline reference::Sgd to_reference(const SGD& rule) {
  return {.shared = shared_reference(rule),
          .momentum = rule.momentum,
          .dampening = rule.dampening,
          .nesterov = rule.nesterov};
}

inline reference::RmsProp to_reference(const RMSProp& rule) {
  return {.shared = shared_reference(rule),
          .alpha = rule.alpha,
          .eps = rule.eps,
          .momentum = rule.momentum,
          .eps_inside = rule.epsilon == Epsilon::inside_root,
          .centered = rule.centered};
}

inline reference::Adam to_reference(const Adam& rule) {
  return {.shared = shared_reference(rule),
          .beta1 = rule.beta1,
          .beta2 = rule.beta2,
          .eps = rule.eps,
          .amsgrad = rule.amsgrad};
}

inline reference::AdamW to_reference(const AdamW& rule) {
  return {.adam = {.shared = shared_reference(rule),
                   .beta1 = rule.beta1,
                   .beta2 = rule.beta2,
                   .eps = rule.eps,
                   .amsgrad = rule.amsgrad}};
}

}  // namespace onepass::test
