// any_optimizer.hpp - hides Optimizer<Rule> behind an interface, so that a test harness is compiled once for
// all rules.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "onepass/onepass.hpp"

namespace onepass::test {

class AnyOptimizer {
 public:
  virtual ~AnyOptimizer() = default;
  virtual void step(Stream stream = {}) = 0;
  virtual void zero_grad(Stream stream = {}) = 0;
  virtual void set_lr(double lr, Stream stream = {}) = 0;
  virtual void set_gradients(std::span<const Tensor> gradients, Stream stream = {}) = 0;
  virtual void set_gradient_handling(const GradientHandling& handling, Stream stream = {}) = 0;
  void set_found_inf(const float* found_inf) { set_gradient_handling({.found_inf = found_inf}); }
  virtual void accumulate(Stream stream = {}) = 0;
  [[nodiscard]] virtual double grad_norm(Stream stream = {}) const = 0;
  virtual void fetch_grad_norm(Stream stream = {}) = 0;
  [[nodiscard]] virtual double fetched_grad_norm() const = 0;
  [[nodiscard]] virtual double penalty(Stream stream = {}) const = 0;
  [[nodiscard]] virtual float loss_scale(Stream stream = {}) const = 0;
  [[nodiscard]] virtual const float* loss_scale_pointer() const = 0;
  [[nodiscard]] virtual std::int64_t steps(Stream stream = {}) const = 0;
  [[nodiscard]] virtual std::vector<StreamBytes> traffic() const = 0;
  virtual void check(Stream stream = {}) = 0;
  virtual void add_parameters(const std::vector<Parameter>& parameters) = 0;
  [[nodiscard]] virtual std::span<const char* const> state_names() const = 0;
  [[nodiscard]] virtual Tensor state(std::string_view parameter, std::string_view state) = 0;
  [[nodiscard]] virtual std::int64_t step_count(std::string_view parameter, Stream stream = {}) const = 0;
  [[nodiscard]] virtual std::int64_t skipped_steps(Stream stream = {}) const = 0;
  [[nodiscard]] virtual StateDict state_dict(Stream stream = {}) const = 0;
  virtual void load_state_dict(const StateDict& dict, Stream stream = {}) = 0;
};

template <class Rule>
class TypedOptimizer final : public AnyOptimizer {
 public:
  explicit TypedOptimizer(Optimizer<Rule> optimizer) : optimizer_(std::move(optimizer)) {}

  void step(Stream stream) override { optimizer_.step(stream); }
  void zero_grad(Stream stream) override { optimizer_.zero_grad(stream); }
  void set_lr(double lr, Stream stream) override { optimizer_.set_lr(lr, stream); }
  void set_gradients(std::span<const Tensor> gradients, Stream stream) override {
    optimizer_.set_gradients(gradients, stream);
  }
  void set_gradient_handling(const GradientHandling& handling, Stream stream) override {
    optimizer_.set_gradient_handling(handling, stream);
  }
  void accumulate(Stream stream) override { optimizer_.accumulate(stream); }
  [[nodiscard]] double grad_norm(Stream stream) const override { return optimizer_.grad_norm(stream); }
  void fetch_grad_norm(Stream stream) override { optimizer_.fetch_grad_norm(stream); }
  [[nodiscard]] double fetched_grad_norm() const override { return optimizer_.fetched_grad_norm(); }
  [[nodiscard]] double penalty(Stream stream) const override { return optimizer_.penalty(stream); }
  [[nodiscard]] float loss_scale(Stream stream) const override { return optimizer_.loss_scale(stream); }
  [[nodiscard]] const float* loss_scale_pointer() const override { return optimizer_.loss_scale_pointer(); }
  [[nodiscard]] std::int64_t steps(Stream stream) const override { return optimizer_.steps(stream); }
  [[nodiscard]] std::vector<StreamBytes> traffic() const override { return optimizer_.traffic(); }
  void check(Stream stream) override { optimizer_.check(stream); }
  void add_parameters(const std::vector<Parameter>& parameters) override {
    optimizer_.add_parameters(parameters);
  }
  [[nodiscard]] std::span<const char* const> state_names() const override { return optimizer_.state_names(); }
  [[nodiscard]] Tensor state(std::string_view parameter, std::string_view state) override {
    return optimizer_.state(parameter, state);
  }
  [[nodiscard]] std::int64_t step_count(std::string_view parameter, Stream stream) const override {
    return optimizer_.step_count(parameter, stream);
  }
  [[nodiscard]] std::int64_t skipped_steps(Stream stream) const override {
    return optimizer_.skipped_steps(stream);
  }
  [[nodiscard]] StateDict state_dict(Stream stream) const override { return optimizer_.state_dict(stream); }
  void load_state_dict(const StateDict& dict, Stream stream) override {
    optimizer_.load_state_dict(dict, stream);
  }

 private:
  Optimizer<Rule> optimizer_;
};

using AnyOptimizerPtr = std::unique_ptr<AnyOptimizer>;

template <class Rule>
AnyOptimizerPtr make_optimizer(std::vector<Rule> groups, const std::vector<Parameter>& parameters,
                               const Options& options = {}) {
  return std::make_unique<TypedOptimizer<Rule>>(Optimizer<Rule>(std::move(groups), parameters, options));
}
template <class Rule>
AnyOptimizerPtr make_optimizer(const Rule& rule, const std::vector<Parameter>& parameters,
                               const Options& options = {}) {
  return make_optimizer(std::vector<Rule>{rule}, parameters, options);
}

}  // namespace onepass::test
