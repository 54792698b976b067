// network.cpp - the forward and backward pass of the perceptron, made of backend operations.
#include "model/network.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "errors.hpp"
#include "onepass/storage/bfloat16.hpp"

namespace train {
namespace {

using onepass::storage::BFloat16;

constexpr float kLastLayerGain = 0.1f;  // training then starts near ln 10, the loss of a guess

/// Copies a tensor of any dtype to the host.
template <class Element>
std::vector<Element> fetch(const Backend& backend, const onepass::Tensor& tensor) {
  std::vector<Element> fetched(static_cast<std::size_t>(tensor.numel));
  onepass::copy({onepass::Device::cpu(), fetched.data()}, {tensor.device, tensor.data}, tensor.bytes(),
                backend.stream());
  return fetched;
}

template <class Element>
void put(const Backend& backend, const onepass::Tensor& tensor, const std::vector<Element>& values) {
  onepass::copy({tensor.device, tensor.data}, {onepass::Device::cpu(), values.data()}, tensor.bytes(),
                backend.stream());
}

}  // namespace

onepass::DeviceBuffer Network::floats(std::int64_t count) const {
  return {backend_.device(), static_cast<std::size_t>(count) * sizeof(float), backend_.stream()};
}

onepass::DeviceBuffer Network::numbers(std::int64_t count) const {
  return {backend_.device(), static_cast<std::size_t>(count) * onepass::size_of(shape_.dtype),
          backend_.stream()};
}

Network::Network(Backend& backend, Shape shape)
    : backend_(backend),
      shape_(std::move(shape)),
      input_(floats(shape_.max_rows * shape_.widths.front())),
      labels_(backend.device(), static_cast<std::size_t>(shape_.max_rows), backend.stream()),
      row_loss_(floats(shape_.max_rows)) {
  if (shape_.dropout > 0.0) random_.emplace(backend.device(), onepass::RandomPosition{});
  std::int64_t largest = 0;
  for (std::size_t i = 0; i + 1 < shape_.widths.size(); ++i) {
    const std::int64_t inputs = shape_.widths[i];
    const std::int64_t outputs = shape_.widths[i + 1];
    const bool last = i + 2 == shape_.widths.size();
    layers_.push_back(
        {.inputs = inputs,
         .outputs = outputs,
         .weight = numbers(inputs * outputs),
         .bias = numbers(outputs),
         .weight_grad = numbers(inputs * outputs),
         .bias_grad = numbers(outputs),
         .output = floats(shape_.max_rows * outputs),
         .delta = last ? onepass::DeviceBuffer{} : floats(shape_.max_rows * outputs),
         .thinned = last || !random_ ? onepass::DeviceBuffer{} : floats(shape_.max_rows * outputs)});
    largest = std::max(largest, inputs * outputs);
  }
  if (is_low()) wide_ = floats(largest);
}

float* Network::widened(const onepass::DeviceBuffer& parameter) const {
  if (!is_low()) return parameter.as<float>();
  const auto count = static_cast<std::int64_t>(parameter.bytes() / sizeof(std::uint16_t));
  backend_.widen(parameter.as<std::uint16_t>(), count, wide_.as<float>());
  return wide_.as<float>();
}

Matrix Network::weights(const Layer& layer) const {
  return {widened(layer.weight), layer.outputs, layer.inputs};
}

float* Network::place_for(const onepass::DeviceBuffer& gradient) const {
  return is_low() ? wide_.as<float>() : gradient.as<float>();
}

void Network::round(const onepass::DeviceBuffer& gradient) const {
  if (!is_low()) return;
  const auto count = static_cast<std::int64_t>(gradient.bytes() / sizeof(std::uint16_t));
  backend_.narrow(wide_.as<float>(), count, gradient.as<std::uint16_t>());
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
  backend_.multiply({x}, transpose(weights(layer)), y);
  backend_.add_bias(y, widened(layer.bias), last ? Activation::none : shape_.activation);
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
  Matrix delta =
      layers_.back().out(rows);  // the logits, which softmax_cross_entropy replaces by their gradient
  const auto divisor = static_cast<float>(static_cast<double>(rows) / part.share);
  backend_.softmax_cross_entropy(delta, labels(), divisor, row_loss_.as<float>());
  backend_.mean(row_loss_.as<float>(), rows, mean_loss);
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const Layer& layer = layers_[i];
    const Matrix x = i == 0 ? input(rows) : layers_[i - 1].passed_on(rows);
    backend_.multiply(transpose(delta), {x}, {place_for(layer.weight_grad), layer.outputs, layer.inputs});
    round(layer.weight_grad);
    backend_.column_sums(delta, place_for(layer.bias_grad));
    round(layer.bias_grad);
    if (i == 0) break;  // the gradient of the images is not needed
    const Matrix delta_x{layers_[i - 1].delta.as<float>(), rows, layer.inputs};
    backend_.multiply({delta}, {weights(layer)}, delta_x);
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
  const auto tensor = [&](const onepass::DeviceBuffer& buffer) -> onepass::Tensor {
    const auto count = static_cast<std::int64_t>(buffer.bytes() / onepass::size_of(shape_.dtype));
    return {buffer.data(), shape_.dtype, count, backend_.device()};
  };
  std::vector<onepass::Parameter> parameters;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    parameters.push_back({.name = fmt::format("layer{}.weight", i + 1),
                          .value = tensor(layer.weight),
                          .grad = tensor(layer.weight_grad),
                          .shape = {layer.outputs, layer.inputs}});
    parameters.push_back({.name = fmt::format("layer{}.bias", i + 1),
                          .value = tensor(layer.bias),
                          .grad = tensor(layer.bias_grad)});
  }
  return parameters;
}

std::int64_t Network::parameter_count() const {
  std::int64_t count = 0;
  for (const onepass::Parameter& parameter : parameters()) count += parameter.value.numel;
  return count;
}

Zeros Network::count_zero_weights() const {
  const std::vector<NamedValues> values = read();
  Zeros zeros;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const std::vector<float>& weights = values[2 * i].values;
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
  std::vector<NamedValues> read;
  for (const onepass::Parameter& parameter : parameters()) {
    if (!is_low()) {
      read.push_back({parameter.name, fetch<float>(backend_, parameter.value)});
      continue;
    }
    const std::vector<std::uint16_t> low = fetch<std::uint16_t>(backend_, parameter.value);
    read.push_back({parameter.name, std::vector<float>(low.size())});
    std::ranges::transform(low, read.back().values.begin(), BFloat16::decode);
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
    if (!is_low()) {
      put(backend_, own[i].value, saved[i].values);
      continue;
    }
    std::vector<std::uint16_t> low(saved[i].values.size());
    std::ranges::transform(saved[i].values, low.begin(), BFloat16::encode);
    put(backend_, own[i].value, low);
  }
}

}  // namespace train
