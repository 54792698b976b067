// gradients.cpp - handling of gradients: clipping, loss scaling, accumulation.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <onepass/onepass.hpp>
#include <utility>
#include <vector>

namespace {

using Floats = std::vector<float>;

/// Computes the gradient of half the squared distance to (3, 4), times `scale`.
void backward(const Floats& point, Floats& grad, float scale = 1.0f) {
  grad = {scale * (point[0] - 3.0f), scale * (point[1] - 4.0f)};
}

bool clipping() {
  Floats point{0, 0}, grad{0, 0};
  const std::vector<onepass::Parameter> parameters{{.name = "point", .value = point, .grad = grad}};
  // [clip]
  onepass::Optimizer optimizer{onepass::SGD{.lr = 1.0}, parameters};
  optimizer.clip_grad_norm(1.0);                      // as torch.nn.utils.clip_grad_norm_
  optimizer.set_nonfinite(onepass::NonFinite::skip);  // a NaN or Inf turns the step into nothing
  backward(point, grad);                              // the gradient is (-3, -4)
  optimizer.step();                                   // and moves the point by (0.6, 0.8)
  std::printf("norm %.1f\n", optimizer.grad_norm());  // norm 5.0, before clipping
  // [/clip]
  return std::abs(point[0] - 0.6f) < 1e-5f && std::abs(point[1] - 0.8f) < 1e-5f;
}

bool scaling() {
  Floats point{0, 0}, grad{0, 0};
  const std::vector<onepass::Parameter> parameters{{.name = "point", .value = point, .grad = grad}};
  onepass::Optimizer optimizer{onepass::SGD{.lr = 0.5}, parameters};
  // [scaler]
  optimizer.set_gradient_handling({.loss_scaler = onepass::LossScaler{.growth_interval = 100}});
  const float* const scale = optimizer.loss_scale_pointer();  // in the device's memory: let the loss read it
  for (int step = 0; step < 50; ++step) {
    backward(point, grad, *scale);
    optimizer.step();  // divides by the scale, skips if a gradient is not finite, moves the scale
  }
  // [/scaler]
  return std::abs(point[0] - 3.0f) < 1e-5f && optimizer.loss_scale() == 65536.0f;
}

bool sharing() {
  Floats point{0, 0}, grad{0, 0}, other{0, 0}, other_grad{0, 0};
  onepass::Optimizer generator{onepass::SGD{.lr = 0.5},
                               std::vector<onepass::Parameter>{{.name = "g", .value = point, .grad = grad}}};
  onepass::Optimizer critic{onepass::SGD{.lr = 0.5}, std::vector<onepass::Parameter>{
                                                         {.name = "c", .value = other, .grad = other_grad}}};
  // [shared]
  onepass::SharedLossScaler scaler{onepass::Device::cpu(), {.growth_interval = 100}};
  for (onepass::Optimizer* one : {&generator, &critic})
    one->set_gradient_handling({.shared_scaler = &scaler});
  for (int round = 0; round < 50; ++round) {
    backward(point, grad, *scaler.scale_pointer());
    backward(other, other_grad, *scaler.scale_pointer());
    critic.step();     // each divides by the scale of its loss,
    generator.step();  // and skips for its own gradients alone
    scaler.update();   // now the scale moves: it backs off if any of them has skipped
  }
  // [/shared]
  return std::abs(point[0] - 3.0f) < 1e-5f && std::abs(other[1] - 4.0f) < 1e-5f && scaler.scale() == 65536.0f;
}

bool accumulating() {
  Floats point{0, 0}, grad{0, 0};
  const std::vector<onepass::Parameter> parameters{{.name = "point", .value = point, .grad = grad}};
  // [accumulate]
  onepass::Optimizer optimizer{onepass::SGD{.lr = 1.0}, parameters, {.accumulates_gradients = true}};
  for (const float target : {1.0f, 2.0f, 3.0f, 6.0f}) {  // four micro-batches
    grad = {point[0] - target, 0.0f};
    optimizer.accumulate();  // into a sum in float32
  }
  optimizer.step();  // by the mean of the four: point[0] = 3
  // [/accumulate]
  const bool is_mean = point[0] == 3.0f;
  point[0] = 0.0f;
  // [weights]
  for (const auto& [target, tokens] : {std::pair{0.0f, 64.0}, {4.0f, 192.0}}) {
    grad = {point[0] - target, 0.0f};          // of the mean loss over the tokens of this micro-batch
    optimizer.accumulate({.weight = tokens});  // sum = fma(weight, gradient, sum), in float32
  }
  optimizer.step();  // by the sum divided by 256, the mean over all tokens: point[0] = 3
  // [/weights]
  return is_mean && point[0] == 3.0f;
}

/// Two shards of the point (0, 0), one coordinate each, in one process. `all_reduce` adds up what both have.
bool sharding() {
  Floats x{0}, y{0}, x_grad{-3}, y_grad{-4};
  const onepass::Parameter first{.name = "point", .value = x, .grad = x_grad};
  const onepass::Parameter second{.name = "point", .value = y, .grad = y_grad};
  onepass::Optimizer one{onepass::SGD{.lr = 1.0}, std::vector{first}};
  onepass::Optimizer other{onepass::SGD{.lr = 1.0}, std::vector{second}};
  other.clip_grad_norm(1.0);
  std::vector<std::int64_t> others(static_cast<std::size_t>(other.measure_numel()));
  other.measure({others.data(), onepass::DType::int64, other.measure_numel()});
  const auto all_reduce = [&](std::vector<std::int64_t>& words) {
    for (std::size_t i = 0; i < words.size(); ++i) words[i] += others[i];
  };
  onepass::Optimizer& optimizer = one;
  // [shards]
  optimizer.clip_grad_norm(1.0);  // on every rank, over its own shard of the model
  std::vector<std::int64_t> words(static_cast<std::size_t>(optimizer.measure_numel()));  // on its device
  const onepass::Tensor measure{words.data(), onepass::DType::int64, optimizer.measure_numel()};
  optimizer.measure(measure);        // of the gradients of this shard
  all_reduce(words);                 // ncclInt64 and ncclSum, for example, on the same CUDA stream
  optimizer.step_measured(measure);  // clips by the norm of all shards, or is skipped on every rank
  // [/shards]
  return optimizer.grad_norm() == 5.0 && std::abs(x[0] - 0.6f) < 1e-5f;
}

/// The same with LARS, whose steps follow the norm of the point (3, 4) and of its gradient.
bool sharding_sums() {
  Floats x{3}, y{4}, x_grad{3}, y_grad{4};
  const onepass::LARS rule{.lr = 0.5, .trust_coeff = 1.0, .eps = 0.0, .always_adapt = true};
  onepass::Optimizer optimizer{rule,
                               std::vector{onepass::Parameter{.name = "point", .value = x, .grad = x_grad}}};
  onepass::Optimizer other{rule,
                           std::vector{onepass::Parameter{.name = "point", .value = y, .grad = y_grad}}};
  std::vector<std::int64_t> others(static_cast<std::size_t>(other.sums_numel()));
  other.begin_step({others.data(), onepass::DType::int64, other.sums_numel()});
  const auto all_reduce = [&](std::vector<std::int64_t>& words) {
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = others[i] += words[i];
  };
  // [sums]
  std::vector<std::int64_t> sums(static_cast<std::size_t>(optimizer.sums_numel()));  // on its device
  const onepass::Tensor taken{sums.data(), onepass::DType::int64, optimizer.sums_numel()};
  optimizer.begin_step(taken);   // or begin_step(measure, taken), after an all-reduce of the measure
  all_reduce(sums);              // ncclInt64 and ncclSum
  optimizer.finish_step(taken);  // with the bits of one optimizer over whole tensors
  // [/sums]
  other.finish_step({others.data(), onepass::DType::int64, other.sums_numel()});
  return x[0] == 1.5f && y[0] == 2.0f;  // trust is 5 / 5
}

bool releasing() {
  Floats point{0, 0}, other{0, 0}, buffer{0, 0};
  const std::vector<onepass::Parameter> parameters{{.name = "first", .value = point},
                                                   {.name = "second", .value = other}};
  // [release]
  onepass::Optimizer optimizer{onepass::SGD{.lr = 0.5}, parameters};
  for (int round = 0; round < 50; ++round) {
    for (const std::size_t layer : {1, 0}) {  // the backward pass goes from the last layer to the first
      backward(layer == 0 ? point : other, buffer);  // one buffer serves the gradients of all layers
      std::vector<onepass::Tensor> gradients(2);
      gradients[layer] = buffer;
      optimizer.set_gradients(gradients);
      optimizer.step_some(std::vector{layer});  // by names, too
    }
    optimizer.end_round();  // counts a step, keeps the norm, moves the loss scale
  }
  // [/release]
  return std::abs(point[0] - 3.0f) < 1e-5f && std::abs(other[1] - 4.0f) < 1e-5f && optimizer.steps() == 50;
}

}  // namespace

int main() {
  const bool works =
      clipping() && scaling() && sharing() && accumulating() && sharding() && sharding_sums() && releasing();
  return works ? EXIT_SUCCESS : EXIT_FAILURE;
}
