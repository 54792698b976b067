// rules.hpp - the measured rules, by name.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "bench/cases/plain_rules.hpp"
#include "onepass/optimizer.hpp"

namespace onepass::bench {

/// An optimizer of any rule.
class Stepper {
 public:
  virtual ~Stepper() = default;
  virtual void step(Stream stream) = 0;
  /// Turns on clipping by norm, so that later steps measure the norm. The limit is so high that no gradient
  /// is clipped.
  virtual void clip() = 0;
  [[nodiscard]] virtual double traffic() const = 0;  ///< Bytes that a step reads and writes.
  [[nodiscard]] virtual double memory() const = 0;   ///< Bytes of parameters, gradients and states.
  [[nodiscard]] virtual std::span<const char* const> state_names() const = 0;
  [[nodiscard]] virtual Tensor state(std::string_view parameter, std::string_view name) = 0;
};

/// Steps one element by a hand-written rule.
using PlainMove = void (*)(const plain::Numbers& k, float& p, float g, float* states);

struct RuleChoice {
  std::string_view name;  ///< "rmsprop_centered"
  int states;
  unsigned nonnegative;  ///< Bit s is set if state s is never negative; such states have their own codec.
  bool keeps_variance;   ///< 16- and 8-bit formats store the first state less the square of the second.
  std::unique_ptr<Stepper> (*make)(std::vector<Parameter> parameters, const Options& options);
  plain::Numbers (*numbers)(int t);
  PlainMove move;
};

/// Returns SGD without and with momentum, RMSProp, centered RMSProp, Adam, AMSGrad and AdamW. All tables of
/// loops have this order.
std::span<const RuleChoice> rule_choices();

}  // namespace onepass::bench
