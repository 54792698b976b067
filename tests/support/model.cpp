// model.cpp - see model.hpp.
#include "support/model.hpp"

#include <utility>

#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {

std::string tensor_name(int id) { return std::string("t").append(std::to_string(id)); }

Model::Model(std::vector<Shape> shapes, Device device) : shapes_(std::move(shapes)) {
  values_.reserve(shapes_.size());
  grads_.reserve(shapes_.size());
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    Shape& shape = shapes_[i];
    if (shape.id < 0) shape.id = static_cast<int>(i);
    values_.emplace_back(device, shape.numel, shape.value_misalignment);
    grads_.emplace_back(device, shape.numel, shape.grad_misalignment);
    std::vector<float> value(static_cast<std::size_t>(shape.numel));
    draw_value(value, static_cast<std::uint64_t>(shape.id));
    values_.back().write(value);
  }
  draw_gradients(1, 1000);
}

std::vector<Parameter> Model::parameters() const {
  std::vector<Parameter> parameters;
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    parameters.push_back({.name = tensor_name(shapes_[i].id),
                          .value = values_[i].tensor(),
                          .grad = grads_[i].tensor(),
                          .group = shapes_[i].group});
  }
  return parameters;
}

std::vector<Tensor> Model::gradients() const {
  std::vector<Tensor> gradients;
  for (const GuardedBuffer& grad : grads_) gradients.push_back(grad.tensor());
  return gradients;
}

void Model::draw_gradients(std::int64_t step, std::int64_t steps) {
  std::vector<float> gradient;
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    gradient.resize(static_cast<std::size_t>(shapes_[i].numel));
    draw_gradient(gradient, static_cast<std::uint64_t>(shapes_[i].id), step, steps);
    grads_[i].write(gradient);
  }
}

testing::AssertionResult Model::intact() const {
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    const testing::AssertionResult value = values_[i].intact();
    if (!value) return testing::AssertionFailure() << "value " << i << ": " << value.message();
    const testing::AssertionResult grad = grads_[i].intact();
    if (!grad) return testing::AssertionFailure() << "gradient " << i << ": " << grad.message();
  }
  return testing::AssertionSuccess();
}

Snapshot snapshot(const std::vector<Parameter>& parameters, Optimizer& optimizer) {
  Snapshot all;
  synchronize(parameters.empty() ? Device::cpu() : parameters.front().value.device);
  for (const Parameter& parameter : parameters) {
    all[parameter.name] = read(parameter.value);
    all[parameter.name + ".step"] = {static_cast<float>(optimizer.step_count(parameter.name))};
    for (const char* name : optimizer.state_names(parameter.name)) {
      all[parameter.name + "." + name] = read(optimizer.state(parameter.name, name));
    }
  }
  return all;
}

testing::AssertionResult equal_bits(const Snapshot& expected, const Snapshot& actual) {
  if (expected.size() != actual.size()) {
    return testing::AssertionFailure() << "expected " << expected.size() << " tensors, got " << actual.size();
  }
  for (const auto& [name, values] : expected) {
    const auto found = actual.find(name);
    if (found == actual.end()) return testing::AssertionFailure() << name << " is missing";
    const testing::AssertionResult same = equal_bits(values, found->second);
    if (!same) return testing::AssertionFailure() << name << ": " << same.message();
  }
  return testing::AssertionSuccess();
}

void train_finite(Model& model, Optimizer& optimizer, std::int64_t steps, std::int64_t first) {
  for (std::int64_t step = first; step < first + steps; ++step) {
    model.draw_finite_gradients(step);
    optimizer.step();
  }
}

void train(Model& model, Optimizer& optimizer, std::int64_t steps, std::int64_t first) {
  for (std::int64_t step = first; step < first + steps; ++step) {
    model.draw_gradients(step, 200);
    optimizer.step();
  }
}

}  // namespace onepass::test
