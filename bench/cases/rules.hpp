// rules.hpp - the rules that are measured, by name.
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
  /// From then on steps measure the gradients' norm, which no gradient of the benchmark's is clipped by.
  virtual void clip() = 0;
  [[nodiscard]] virtual double traffic() const = 0;  ///< Bytes that a step has to read and write.
  [[nodiscard]] virtual double memory() const = 0;   ///< Bytes that lie in memory.
  [[nodiscard]] virtual std::span<const char* const> state_names() const = 0;
  [[nodiscard]] virtual Tensor state(std::string_view parameter, std::string_view name) = 0;
};

/// One element, by hand, of whatever rule.
using PlainMove = void (*)(const plain::Numbers& k, float& p, float g, float* states);

struct RuleChoice {
  std::string_view name;  ///< "rmsprop_centered"
  int states;
  unsigned nonnegative;  ///< Which states are never below 0, as bits: they have a codec of their own.
  bool keeps_variance;   ///< The first state is stored without the square of the second, in few bits.
  std::unique_ptr<Stepper> (*make)(std::vector<Parameter> parameters, const Options& options);
  plain::Numbers (*numbers)(int t);
  PlainMove move;
};

/// SGD plain and with momentum, RMSProp, centered, Adam, AMSGrad, AdamW: the order in which all tables of
/// loops are, too.
std::span<const RuleChoice> rule_choices();

}  // namespace onepass::bench
