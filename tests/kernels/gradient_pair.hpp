// gradient_pair.hpp - two optimizers, on the CPU and on CUDA, that must treat gradients alike.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "kernels/cuda_test.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {

/// Sizes around the slots of a warp, leaves of 1,024 and pieces of 4,096, with every misalignment and with
/// empty tensors between them.
inline std::vector<Shape> border_shapes() {
  std::vector<Shape> shapes;
  for (const std::int64_t numel : {0, 1, 127, 128, 129, 1023, 1024, 1025, 0, 4095, 4096, 4097, 9003, 2}) {
    const int n = static_cast<int>(shapes.size());
    shapes.push_back({.numel = numel,
                      .value_misalignment = n % 4,
                      .grad_misalignment = (n / 2) % 4,
                      .group = static_cast<std::size_t>(n % 2)});
  }
  return shapes;
}

/// Two models, one on each device, that take the same steps.
struct Pair {
  Model cpu, gpu;
  Optimizer wanted, actual;

  explicit Pair(const std::vector<Shape>& shapes, const GradientHandling& handling,
                const Options& options = {})
      : cpu(shapes),
        gpu(shapes, kGpu),
        wanted(rules(), cpu.parameters(), options),
        actual(rules(), gpu.parameters(), options) {
    wanted.set_gradient_handling(handling);
    actual.set_gradient_handling(handling);
  }

  static std::vector<AdamW> rules() {
    return {{.lr = 0.01, .weight_decay = 0.1},
            {.lr = 0.02, .l1 = 0.5, .weight_decay_mode = WeightDecay::coupled}};
  }
  template <class Work>
  void both(Work work) {
    work(cpu, wanted);
    work(gpu, actual);
  }

  void expect_same() {
    const auto bits = [](double x) { return std::bit_cast<std::uint64_t>(x); };
    const double norm = actual.grad_norm();
    EXPECT_TRUE(bits(wanted.grad_norm()) == bits(norm) || norm != norm)
        << wanted.grad_norm() << ", but CUDA has " << norm;
    EXPECT_EQ(wanted.grad_norm() != wanted.grad_norm(), norm != norm);
    EXPECT_EQ(bits(wanted.penalty()), bits(actual.penalty()));
    EXPECT_EQ(wanted.steps(), actual.steps());
    EXPECT_EQ(wanted.skipped_steps(), actual.skipped_steps());
    EXPECT_EQ(wanted.dropped_micro_batches(), actual.dropped_micro_batches());
    EXPECT_TRUE(same_bits(wanted.loss_scale(), actual.loss_scale()));
    EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
    for (std::size_t t = 0; t < cpu.size(); ++t) {
      EXPECT_TRUE(equal_bits(cpu.grad(t).read(), gpu.grad(t).read())) << "gradient " << t;
    }
    EXPECT_TRUE(gpu.intact());
  }
};

/// Sets one element of one tensor's gradient.
inline void spoil(Model& model, std::size_t tensor, std::int64_t element, float value) {
  std::vector<float> gradient = model.grad(tensor).read();
  gradient[static_cast<std::size_t>(element)] = value;
  model.grad(tensor).write(gradient);
}

}  // namespace onepass::test
