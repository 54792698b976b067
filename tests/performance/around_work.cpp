// around_work.cpp - defines the launches of around_work.hpp.
#include "performance/around_work.hpp"

#include <memory>
#include <utility>

#include "onepass/onepass.hpp"

namespace onepass::test {
namespace {

constexpr Device kGpu = Device::cuda(0);

/// Zeros on the device.
class Floats {
 public:
  explicit Floats(std::int64_t numel)
      : numel_(numel), memory_(kGpu, static_cast<std::size_t>(numel) * sizeof(float)) {
    fill_zero({kGpu, memory_.data()}, memory_.bytes());
  }
  [[nodiscard]] Tensor tensor() const { return {memory_.as<float>(), numel_, kGpu}; }
  [[nodiscard]] Tensor element(std::int64_t i) const { return {memory_.as<float>() + i, 1, kGpu}; }

 private:
  std::int64_t numel_;
  DeviceBuffer memory_;
};

/// One tensor of all elements, or one tensor for each element.
enum class Tensors { one, of_one_element };

/// An optimizer over parameters and gradients of zeros.
class Model {
 public:
  Model(std::int64_t numel, const Options& options, Tensors tensors = Tensors::one)
      : values_(numel), grads_(numel), optimizer_(AdamW{.l1 = 0.1}, parameters(numel, tensors), options) {}

  [[nodiscard]] Optimizer& optimizer() { return optimizer_; }

 private:
  [[nodiscard]] std::vector<Parameter> parameters(std::int64_t numel, Tensors tensors) const {
    if (tensors == Tensors::one) {
      return {{.name = "all", .value = values_.tensor(), .grad = grads_.tensor()}};
    }
    std::vector<Parameter> each;
    for (std::int64_t i = 0; i < numel; ++i) {
      each.push_back({.name = std::to_string(i), .value = values_.element(i), .grad = grads_.element(i)});
    }
    return each;
  }

  Floats values_, grads_;
  Optimizer optimizer_;
};

/// Prepares `call` on an optimizer whose elements are all in one chunk.
template <class Call>
Prepared on_model(Call call, Options options = {}) {
  options.chunk_size = 1 << 16;
  return [call, options](std::int64_t numel) -> std::function<void()> {
    const auto model = std::make_shared<Model>(numel, options);
    return [model, call] { call(model->optimizer()); };
  };
}

/// Prepares the second micro-batch, because the first is only copied.
Prepared accumulation() {
  return [](std::int64_t numel) -> std::function<void()> {
    const auto model =
        std::make_shared<Model>(numel, Options{.chunk_size = 1 << 16, .accumulates_gradients = true});
    model->optimizer().accumulate();
    return [model] { model->optimizer().accumulate(); };
  };
}

Prepared preparation(const Schedule& schedule) {
  return [schedule](std::int64_t numel) -> std::function<void()> {
    const auto model = std::make_shared<Model>(numel, Options{}, Tensors::of_one_element);
    model->optimizer().set_schedule(schedule);
    return [model] { model->optimizer().step(); };
  };
}

Prepared initialisation(const Initializer& initializer) {
  return [initializer](std::int64_t numel) -> std::function<void()> {
    const auto weights = std::make_shared<Floats>(numel);
    return [weights, numel, initializer] { initialize(weights->tensor(), {numel / 2, 2}, initializer, {}); };
  };
}

Prepared dropout(bool adds) {
  return [adds](std::int64_t numel) -> std::function<void()> {
    struct Layer {
      Floats in, out, residual;
      RandomState state;
    };
    const auto layer = std::make_shared<Layer>(
        Layer{Floats(numel), Floats(numel), Floats(numel), RandomState(kGpu, {.seed = 1})});
    return [layer, adds] {
      const DropoutCall call{.out = layer->out.tensor(),
                             .in = layer->in.tensor(),
                             .residual = adds ? layer->residual.tensor() : Tensor{}};
      dropout_forward({.p = 0.1}, call, layer->state);
    };
  };
}

}  // namespace

std::vector<NamedLaunch> launches_around() {
  return {{"zero_grad", "zero_grad_kernel", on_model([](auto& optimizer) { optimizer.zero_grad(); })},
          {"accumulate", "accumulate_kernel", accumulation()},
          {"penalty", "reduce_penalty_kernel", on_model([](auto& optimizer) { (void)optimizer.penalty(); })},
          {"prepare of AdamW, of a tensor", "prepare<", preparation({})},
          {"prepare of AdamW under a cosine, of a tensor", "prepare<",
           preparation(CosineAnnealingLR{.T_max = 100})},
          {"initialize, uniform", "fill_kernel", initialisation(initializers::Uniform{})},
          {"initialize, normal", "fill_kernel", initialisation(initializers::Normal{})},
          {"initialize, truncated normal", "fill_kernel", initialisation(initializers::TruncatedNormal{})},
          {"dropout", "dropout_kernel", dropout(false)},
          {"dropout and residual", "dropout_kernel", dropout(true)}};
}

}  // namespace onepass::test
