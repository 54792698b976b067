// perturb_gradients_test.cpp - what perturb() makes of gradients: it unscales them, uses micro-batches up,
// zeroes them, and moves nothing by one that is not finite or is 0 everywhere.
#include <gtest/gtest.h>

#include <limits>

#include "host/sam/sam_model.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(PerturbGradients, TheLossScaleChangesThe1eMinus12Alone) {
  const FormatCase& format = format_case("float32");
  for (const double scale : {1.0, 65536.0, 0x1p-20}) {
    const FormatModel model(format, Device::cpu(), {1100, 5});
    Optimizer optimizer = format_optimizer(model, format);
    optimizer.set_gradient_handling({.loss_scale = scale});
    // As small as the 1e-12.
    for (std::size_t t = 0; t < 2; ++t) model.grad(t).write(between(t == 0 ? 1100 : 5, -50, -45, t));
    const auto params = trained_params(format, model, optimizer.state_dict());
    const auto gradients = gradients_of(model);
    const reference::Sam reference{0.5};
    optimizer.perturb({.rho = 0.5});
    for (std::size_t t = 0; t < model.size(); ++t) {
      EXPECT_TRUE(is_where(reference, format.param, params[t], gradients[t], model.value(t).floats(),
                           reference.norm(params, gradients, 1.0 / scale), 1.0 / scale))
          << scale;
    }
  }
}

TEST(PerturbGradients, AGradientThatIsNotFiniteMovesNothing) {
  for (const float bad : {kInf, -kInf, kNaN}) {
    for (const FormatCase& format : {format_case("float32"), format_case("bf16_split"), format_case("f16")}) {
      for (const bool adaptive : {false, true}) {
        const FormatModel model(format, Device::cpu(), {1500, 40, 3});
        Optimizer optimizer = format_optimizer(model, format);
        model.draw_finite(1);
        std::vector<float> gradient = model.grad(1).floats();
        gradient[39] = bad;
        model.grad(1).write(gradient);
        const auto before = value_bytes(model);
        optimizer.perturb({.rho = 1.0, .adaptive = adaptive});
        EXPECT_EQ(before, value_bytes(model));
        optimizer.restore();
        EXPECT_EQ(before, value_bytes(model));
        // The next perturbation has forgotten it.
        model.draw_finite(2);
        optimizer.perturb({.rho = 1.0, .adaptive = adaptive});
        EXPECT_NE(before, value_bytes(model));
        optimizer.restore();
        EXPECT_EQ(before, value_bytes(model));
      }
    }
  }
}

// |p| * g overflows float32, though p and g do not.
TEST(PerturbGradients, ATermThatOverflowsMovesNothing) {
  std::vector<float> p{3.0f, 1.0f}, g{0x1.8p127f, 1.0f};
  Optimizer optimizer(SGD{}, std::vector<Parameter>{{.name = "w", .value = p, .grad = g}});
  optimizer.perturb({.rho = 1.0, .adaptive = true});
  EXPECT_EQ(p, (std::vector<float>{3.0f, 1.0f}));
}

TEST(PerturbGradients, ZeroGradientsMoveNothing) {
  for (const bool adaptive : {false, true}) {
    std::vector<float> p{3.0f, -0.0f, 0.0f}, g{0.0f, -0.0f, 0.0f};
    Optimizer optimizer(SGD{}, std::vector<Parameter>{{.name = "w", .value = p, .grad = g}});
    optimizer.perturb({.rho = 1.0, .adaptive = adaptive});
    EXPECT_TRUE(equal_bits(std::vector<float>{3.0f, -0.0f, 0.0f}, p));
    optimizer.step();
    EXPECT_TRUE(equal_bits(std::vector<float>{3.0f, -0.0f, 0.0f}, p));
  }
}

TEST(PerturbGradients, MicroBatchesAreReadAndUsedUp) {
  const std::vector<std::int64_t> sizes{1100, 5};
  const FormatCase& format = format_case("bf16_split");
  const FormatModel model(format, Device::cpu(), sizes),
      mean(format_case("bf16_split_grad32"), Device::cpu(), sizes);
  Optimizer optimizer = format_optimizer(model, format, {.accumulates_gradients = true});
  Optimizer expected = format_optimizer(mean, format);
  const auto accumulate = [&](int first) {
    model.draw_finite(first);
    const auto one = gradients_of(model);
    optimizer.accumulate({.weight = 1.0});
    model.draw_finite(first + 1);
    const auto three = gradients_of(model);
    optimizer.accumulate({.weight = 3.0});
    for (std::size_t t = 0; t < 2; ++t) {
      std::vector<float> sum(one[t].size());
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = std::fma(3.0f, three[t][i], one[t][i]);
      mean.grad(t).write(sum);
    }
  };
  expected.set_gradient_handling({.loss_scale = 4.0});  // the weights of the micro-batches
  for (int step = 1; step <= 3; ++step) {
    accumulate(10 * step);
    optimizer.perturb({.rho = 1.0});
    expected.perturb({.rho = 1.0});
    EXPECT_EQ(value_bytes(mean), value_bytes(model));
    accumulate(10 * step + 5);
    optimizer.step();
    expected.step();
    EXPECT_EQ(value_bytes(mean), value_bytes(model));
  }
  EXPECT_EQ(optimizer.steps(), 3);
  // Nothing is left for a further step.
  optimizer.step();
  EXPECT_EQ(optimizer.steps(), 3);
  optimizer.perturb({.rho = 1.0});
  EXPECT_EQ(value_bytes(mean), value_bytes(model));
}

TEST(PerturbGradients, GradientsAreZeroedIfStepsDoSo) {
  for (const float first : {1.0f, kNaN}) {
    std::vector<float> p(70, 1.0f), g(70, first);
    Optimizer optimizer(SGD{}, std::vector<Parameter>{{.name = "w", .value = p, .grad = g}});
    optimizer.perturb({.rho = 1.0});
    EXPECT_TRUE(equal_bits(std::vector<float>(70, first), g));
    optimizer.restore();
    optimizer.set_gradient_handling({.zero_grad = true});
    optimizer.perturb({.rho = 1.0});
    EXPECT_EQ(g, std::vector<float>(70, 0.0f));
    EXPECT_EQ(p[0] == 1.0f, first != 1.0f);
  }
}

}  // namespace
}  // namespace onepass::test
