// network.cpp - forward and backward of the perceptron, in the backend's verbs.
#include "model/network.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "errors.hpp"

namespace train {
namespace {

constexpr float kLastLayerGain = 0.1f;  // training starts near ln 10, the loss of a guess, and not above it

}  // namespace

onepass::DeviceBuffer Network::floats(std::int64_t count) const {
  return {backend_.device(), static_cast<std::size_t>(count) * sizeof(float), backend_.stream()};
}

Network::Network(Backend& backend, Shape shape)
    : backend_(backend),
      shape_(std::move(shape)),
      input_(floats(shape_.max_rows * shape_.widths.front())),
      labels_(backend.device(), static_cast<std::size_t>(shape_.max_rows), backend.stream()),
      row_loss_(floats(shape_.max_rows)) {
  if (shape_.dropout > 0.0) random_.emplace(backend.device(), onepass::RandomPosition{});
  for (std::size_t i = 0; i + 1 < shape_.widths.size(); ++i) {
    const std::int64_t inputs = shape_.widths[i];
    const std::int64_t outputs = shape_.widths[i + 1];
    const bool last = i + 2 == shape_.widths.size();
    layers_.push_back(
        {.inputs = inputs,
         .outputs = outputs,
         .weight = floats(inputs * outputs),
         .bias = floats(outputs),
         .weight_grad = floats(inputs * outputs),
         .bias_grad = floats(outputs),
         .output = floats(shape_.max_rows * outputs),
         .delta = last ? onepass::DeviceBuffer{} : floats(shape_.max_rows * outputs),
         .thinned = last || !random_ ? onepass::DeviceBuffer{} : floats(shape_.max_rows * outputs)});
  }
}

void Network::initialise(std::uint64_t seed, const onepass::Initializer& initializer) {
  std::vector<NamedValues> values = zeros();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    onepass::initialize(values[2 * i].values, {layers_[i].outputs, layers_[i].inputs}, initializer,
                        {.seed = seed, .tensor = static_cast<std::uint32_t>(i)});
  }
  for (float& weight : values[2 * layers_.size() - 2].values) weight *= kLastLayerGain;
  write(values);
  restore({.seed = seed});
}

void Network::compute(std::size_t i, Matrix x, Matrix y) {
  const Layer& layer = layers_[i];
  const bool last = i + 1 == layers_.size();
  backend_.multiply({x}, turned(layer.weights()), y);
  backend_.add_bias(y, layer.bias.as<float>(), last ? Activation::none : shape_.activation);
}

onepass::DropoutCall Network::dropout_call(std::size_t i, const Part& part, Matrix in, Matrix out) const {
  const auto tensor = [&](Matrix matrix) {
    return onepass::Tensor(matrix.data, matrix.rows * matrix.columns, backend_.device());
  };
  return {.out = tensor(out),
          .in = tensor(in),
          .site = static_cast<std::uint32_t>(i),
          .first = part.first * layers_[i].outputs};
}

Matrix Network::forward(std::int64_t rows) {
  Matrix x = input(rows);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    compute(i, x, layers_[i].out(rows));
    x = layers_[i].out(rows);
  }
  return x;
}

Matrix Network::forward(const Part& part) {
  if (!random_) return forward(part.rows);
  Matrix x = input(part.rows);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Matrix y = layers_[i].out(part.rows);
    compute(i, x, y);
    x = layers_[i].passed_on(part.rows);
    if (i + 1 == layers_.size()) break;
    onepass::dropout_forward({.p = shape_.dropout}, dropout_call(i, part, y, x), *random_, backend_.stream());
  }
  return x;
}

void Network::backward(const Part& part, double* mean_loss) {
  const std::int64_t rows = part.rows;
  Matrix delta = layers_.back().out(rows);  // the logits, which become their own gradient
  const auto divisor = static_cast<float>(static_cast<double>(rows) / part.share);
  backend_.softmax_cross_entropy(delta, labels(), divisor, row_loss_.as<float>());
  backend_.mean(row_loss_.as<float>(), rows, mean_loss);
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const Layer& layer = layers_[i];
    const Matrix x = i == 0 ? input(rows) : layers_[i - 1].passed_on(rows);
    backend_.multiply(turned(delta), {x}, {layer.weight_grad.as<float>(), layer.outputs, layer.inputs});
    backend_.column_sums(delta, layer.bias_grad.as<float>());
    if (i == 0) break;  // nobody asks for the gradient of the images
    const Matrix delta_x{layers_[i - 1].delta.as<float>(), rows, layer.inputs};
    backend_.multiply({delta}, {layer.weights()}, delta_x);
    if (random_) {
      onepass::dropout_backward({.p = shape_.dropout}, dropout_call(i - 1, part, delta_x, delta_x), *random_,
                                backend_.stream());
    }
    backend_.activation_backward(delta_x, layers_[i - 1].output.as<float>(), shape_.activation);
    delta = delta_x;
  }
}

void Network::advance() {
  if (random_) random_->advance(backend_.stream());
}

onepass::RandomPosition Network::random() const {
  return random_ ? random_->saved(backend_.stream()) : onepass::RandomPosition{};
}

void Network::restore(onepass::RandomPosition position) {
  if (random_) random_->restore(position, backend_.stream());
}

void Network::score(std::int64_t rows, double* mean_loss, std::int64_t* correct) {
  const Matrix logits = layers_.back().out(rows);
  backend_.count_correct(logits, labels(), correct);
  backend_.softmax_cross_entropy(logits, labels(), static_cast<float>(rows), row_loss_.as<float>());
  backend_.mean(row_loss_.as<float>(), rows, mean_loss);
}

std::vector<onepass::Parameter> Network::parameters() const {
  const onepass::Device device = backend_.device();
  std::vector<onepass::Parameter> parameters;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const std::int64_t weights = layer.inputs * layer.outputs;
    parameters.push_back({.name = fmt::format("layer{}.weight", i + 1),
                          .value = {layer.weight.as<float>(), weights, device},
                          .grad = {layer.weight_grad.as<float>(), weights, device}});
    parameters.push_back({.name = fmt::format("layer{}.bias", i + 1),
                          .value = {layer.bias.as<float>(), layer.outputs, device},
                          .grad = {layer.bias_grad.as<float>(), layer.outputs, device}});
  }
  return parameters;
}

std::int64_t Network::parameter_count() const {
  std::int64_t count = 0;
  for (const onepass::Parameter& parameter : parameters()) count += parameter.value.numel;
  return count;
}

Zeros Network::count_zero_weights() const {
  Zeros zeros;
  for (const Layer& layer : layers_) {
    std::vector<float> weights(static_cast<std::size_t>(layer.inputs * layer.outputs));
    onepass::copy({onepass::Device::cpu(), weights.data()}, {backend_.device(), layer.weight.data()},
                  layer.weight.bytes(), backend_.stream());
    zeros.zero += std::ranges::count(weights, 0.0f);
    zeros.all += std::ssize(weights);
  }
  return zeros;
}

std::vector<NamedValues> Network::zeros() const {
  std::vector<NamedValues> zeros;
  for (const onepass::Parameter& parameter : parameters()) {
    zeros.push_back({parameter.name, std::vector<float>(static_cast<std::size_t>(parameter.value.numel))});
  }
  return zeros;
}

std::vector<NamedValues> Network::read() const {
  const std::vector<onepass::Parameter> own = parameters();
  std::vector<NamedValues> read = zeros();
  for (std::size_t i = 0; i < own.size(); ++i) {
    onepass::copy({onepass::Device::cpu(), read[i].values.data()}, {backend_.device(), own[i].value.data},
                  own[i].value.bytes(), backend_.stream());
  }
  return read;
}

void Network::write(const std::vector<NamedValues>& saved) {
  const std::vector<onepass::Parameter> own = parameters();
  if (saved.size() != own.size()) {
    throw Failure(fmt::format("{} tensors were saved, but the network has {}", saved.size(), own.size()));
  }
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (saved[i].name != own[i].name || std::ssize(saved[i].values) != own[i].value.numel) {
      throw Failure(fmt::format("\"{}\" with {} elements was saved where the network has \"{}\" with {}",
                                saved[i].name, saved[i].values.size(), own[i].name, own[i].value.numel));
    }
  }
  for (std::size_t i = 0; i < own.size(); ++i) {
    onepass::copy({backend_.device(), own[i].value.data}, {onepass::Device::cpu(), saved[i].values.data()},
                  own[i].value.bytes(), backend_.stream());
  }
}

}  // namespace train
