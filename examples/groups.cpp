// groups.cpp - parameter groups, and a checkpoint from which training resumes bit for bit.
#include <cstdio>
#include <cstdlib>
#include <onepass/onepass.hpp>
#include <vector>

namespace {

using Weights = std::vector<float>;

/// Computes a made-up gradient that differs from step to step.
void gradient(const Weights& weights, int step, Weights& grad) {
  grad = weights;
  grad[static_cast<std::size_t>(step) % grad.size()] -= 1.0f;
}

struct Model {
  Weights matrix{1, 2, 3, 4}, bias{1, 2};
  Weights matrix_grad{0, 0, 0, 0}, bias_grad{0, 0};

  void backward(int step) {
    gradient(matrix, step, matrix_grad);
    gradient(bias, step, bias_grad);
  }
};

onepass::Optimizer optimizer_of(Model& model) {
  // [groups]
  const std::vector<onepass::AdamW> groups{{.lr = 1e-2, .weight_decay = 0.1},   // 0: matrices
                                           {.lr = 1e-2, .weight_decay = 0.0}};  // 1: biases do not decay
  const std::vector<onepass::Parameter> parameters{
      {.name = "matrix", .value = model.matrix, .grad = model.matrix_grad, .group = 0},
      {.name = "bias", .value = model.bias, .grad = model.bias_grad, .group = 1}};
  onepass::Optimizer optimizer{groups, parameters};
  // [/groups]
  return optimizer;
}

void train(Model& model, onepass::Optimizer& optimizer, int from, int to) {
  for (int step = from; step < to; ++step) {
    model.backward(step);
    optimizer.step();
  }
}

}  // namespace

int main() {
  Model model;
  auto optimizer = optimizer_of(model);
  train(model, optimizer, 0, 10);
  // [checkpoint]
  const Model weights = model;                               // the parameters are yours to save
  const onepass::StateDict states = optimizer.state_dict();  // plain numbers, strings and bytes, on the host
  // [/checkpoint]
  train(model, optimizer, 10, 20);

  Model again = weights;
  auto resumed = optimizer_of(again);  // with the same groups, rules and parameters
  resumed.load_state_dict(states);
  train(again, resumed, 10, 20);
  const bool same = again.matrix == model.matrix && again.bias == model.bias;
  std::printf("20 steps at once, and 10 steps resumed after 10: %s\n",
              same ? "the same bits" : "DIFFERENT BITS");
  return same ? EXIT_SUCCESS : EXIT_FAILURE;
}
