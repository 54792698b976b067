// sam.cpp - sharpness-aware minimization: two backward passes for one step.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <onepass/onepass.hpp>
#include <vector>

namespace {

/// Computes the gradient of a wide bowl around 3 with a narrow dent at 0.
void backward(const std::vector<float>& x, std::vector<float>& grad) {
  grad[0] = std::abs(x[0]) < 0.05f ? 40.0f * x[0] : x[0] - 3.0f;
}

/// Trains from a place in the dent, and returns where that ends.
float trained(double rho) {
  std::vector<float> x{0.01f}, grad{0.0f};
  const std::vector<onepass::Parameter> parameters{{.name = "x", .value = x, .grad = grad}};
  // [loop]
  onepass::Optimizer optimizer{onepass::SGD{.lr = 0.02, .momentum = 0.9}, parameters};
  for (int step = 0; step < 500; ++step) {
    backward(x, grad);                // the gradients where the model is
    optimizer.perturb({.rho = rho});  // moves it to where the loss is higher
    backward(x, grad);                // the gradients there, which replace the first ones
    optimizer.step();                 // puts the model back, bit for bit, and steps by them
  }
  // [/loop]
  return x[0];
}

}  // namespace

int main() {
  const float plain = trained(0.0), aware = trained(0.1);
  std::printf("SGD stays in the dent, at %.2f; with SAM it leaves for the bowl, at %.2f\n", plain, aware);
  return std::abs(plain) < 0.05f && std::abs(aware - 3.0f) < 0.05f ? EXIT_SUCCESS : EXIT_FAILURE;
}
