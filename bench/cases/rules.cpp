// rules.cpp - the table of measured rules, each beside its hand-written version.
#include "bench/cases/rules.hpp"

#include <array>
#include <numeric>
#include <utility>

#include "onepass/onepass.hpp"

namespace onepass::bench {
namespace {

double total(const std::vector<StreamBytes>& streams) {
  return std::accumulate(streams.begin(), streams.end(), 0.0,
                         [](double sum, const StreamBytes& stream) { return sum + stream.bytes; });
}

template <class Rule>
class Stepping final : public Stepper {
 public:
  Stepping(const Rule& rule, std::vector<Parameter> parameters, const Options& options)
      : optimizer_(rule, std::move(parameters), options) {}

  void step(Stream stream) override { optimizer_.step(stream); }
  void clip() override { optimizer_.clip_grad_norm(1e30); }
  double traffic() const override { return total(optimizer_.traffic()); }
  double memory() const override { return total(optimizer_.memory()); }
  std::span<const char* const> state_names() const override { return optimizer_.state_names(); }
  Tensor state(std::string_view parameter, std::string_view name) override {
    return optimizer_.state(parameter, name);
  }

 private:
  Optimizer<Rule> optimizer_;
};

template <class Rule>
std::unique_ptr<Stepper> stepping(const Rule& rule, std::vector<Parameter> parameters,
                                  const Options& options) {
  return std::make_unique<Stepping<Rule>>(rule, std::move(parameters), options);
}

using Parameters = std::vector<Parameter>;

std::unique_ptr<Stepper> make_sgd(Parameters parameters, const Options& options) {
  return stepping(SGD{.lr = plain::kLr}, std::move(parameters), options);
}
std::unique_ptr<Stepper> make_momentum(Parameters parameters, const Options& options) {
  return stepping(SGD{.lr = plain::kLr, .momentum = plain::kMomentum}, std::move(parameters), options);
}
RMSProp rmsprop(bool centered) {
  return {.lr = plain::kLr, .alpha = plain::kAlpha, .eps = plain::kEps, .centered = centered};
}
std::unique_ptr<Stepper> make_rmsprop(Parameters parameters, const Options& options) {
  return stepping(rmsprop(false), std::move(parameters), options);
}
std::unique_ptr<Stepper> make_centered(Parameters parameters, const Options& options) {
  return stepping(rmsprop(true), std::move(parameters), options);
}
Adam adam(bool amsgrad) {
  return {.lr = plain::kLr,
          .beta1 = plain::kBeta1,
          .beta2 = plain::kBeta2,
          .eps = plain::kEps,
          .amsgrad = amsgrad};
}
std::unique_ptr<Stepper> make_adam(Parameters parameters, const Options& options) {
  return stepping(adam(false), std::move(parameters), options);
}
std::unique_ptr<Stepper> make_amsgrad(Parameters parameters, const Options& options) {
  return stepping(adam(true), std::move(parameters), options);
}
std::unique_ptr<Stepper> make_adamw(Parameters parameters, const Options& options) {
  const AdamW rule{.lr = plain::kLr,
                   .beta1 = plain::kBeta1,
                   .beta2 = plain::kBeta2,
                   .eps = plain::kEps,
                   .weight_decay = plain::kDecay};
  return stepping(rule, std::move(parameters), options);
}

template <class Plain>
constexpr RuleChoice choice(std::string_view name, unsigned nonnegative, decltype(RuleChoice::make) make) {
  return {name, Plain::kStates,  nonnegative, std::is_same_v<Plain, plain::Centered>,
          make, Plain::kNumbers, Plain::move};
}

constexpr std::array kChoices{choice<plain::Sgd>("sgd", 0, make_sgd),
                              choice<plain::Momentum>("momentum", 0, make_momentum),
                              choice<plain::RmsProp>("rmsprop", 0b1, make_rmsprop),
                              choice<plain::Centered>("rmsprop_centered", 0b1, make_centered),
                              choice<plain::Adam>("adam", 0b10, make_adam),
                              choice<plain::AmsGrad>("amsgrad", 0b110, make_amsgrad),
                              choice<plain::AdamW>("adamw", 0b10, make_adamw)};

}  // namespace

std::span<const RuleChoice> rule_choices() { return kChoices; }

}  // namespace onepass::bench
