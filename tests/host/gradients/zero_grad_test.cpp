// zero_grad_test.cpp - with `zero_grad` the step zeroes its gradients and changes nothing else that it does.
#include <gtest/gtest.h>

#include <limits>
#include <span>
#include <vector>

#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/sizes.hpp"
#include "support/refusal.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

std::vector<Shape> misaligned_shapes() {
  std::vector<Shape> shapes{{.numel = 0}};
  for (const std::int64_t numel : awkward_sizes(64)) {
    const int n = static_cast<int>(shapes.size());
    shapes.push_back({.numel = numel, .value_misalignment = n % 4, .grad_misalignment = (n / 2) % 4});
  }
  shapes.push_back({.numel = 9001, .grad_misalignment = 1});
  return shapes;
}

void expect_zeros(Model& model, std::size_t tensor) {
  const std::vector<float> zeros(static_cast<std::size_t>(model.shape(tensor).numel), 0.0f);
  EXPECT_TRUE(equal_bits(zeros, model.grad(tensor).read())) << "tensor " << tensor;
}

class FusedZeroing : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(Rules, FusedZeroing, testing::ValuesIn(rule_options()), by_name);

TEST_P(FusedZeroing, StepGivesTheSameBitsAndLeavesZeros) {
  Model model(misaligned_shapes()), twin(misaligned_shapes());
  Optimizer optimizer = GetParam().make(model.parameters(), {.chunk_size = 64});
  Optimizer steady = GetParam().make(twin.parameters(), {});
  optimizer.set_gradient_handling({.zero_grad = true});
  train(model, optimizer, 3);
  train(twin, steady, 3);
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
  for (std::size_t t = 0; t < model.size(); ++t) expect_zeros(model, t);
  EXPECT_TRUE(model.intact());
}

TEST(ZeroedByTheStep, SkippedStepsZeroToo) {
  for (const NonFinite policy : {NonFinite::skip, NonFinite::error, NonFinite::propagate}) {
    Model model(misaligned_shapes());
    Optimizer optimizer(Adam{}, model.parameters());
    const float found_inf = 1.0f;
    GradientHandling handling{.nonfinite = policy, .zero_grad = true};
    if (policy == NonFinite::propagate) handling.found_inf = &found_inf;
    optimizer.set_gradient_handling(handling);
    const Snapshot before = snapshot(model.parameters(), optimizer);
    model.draw_finite_gradients(1);
    model.grad(model.size() - 1).host()[8999] = std::numeric_limits<float>::quiet_NaN();
    optimizer.step();
    EXPECT_EQ(optimizer.skipped_steps(), 1);
    EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer)));
    for (std::size_t t = 0; t < model.size(); ++t) expect_zeros(model, t);
    EXPECT_TRUE(model.intact());
  }
}

TEST(ZeroedByTheStep, AbsentGradientsAreNotWritten) {
  Model model({{.numel = 70}, {.numel = 30}});
  Optimizer optimizer(SGD{}, model.parameters());
  optimizer.set_gradient_handling({.zero_grad = true});
  const std::vector<float> before = model.grad(0).read();
  const std::vector<Tensor> all = model.gradients();
  optimizer.set_gradients(std::vector<Tensor>{Tensor{}, all[1]});
  optimizer.step();
  EXPECT_TRUE(equal_bits(before, model.grad(0).read()));
  expect_zeros(model, 1);
  optimizer.set_gradients(all);
  optimizer.step();
  expect_zeros(model, 0);
}

TEST(ZeroedByTheStep, ZeroingStopsWhenTheSettingIsRemoved) {
  Model model(std::vector<Shape>{{.numel = 70}});
  Optimizer optimizer(SGD{}, model.parameters());
  optimizer.set_gradient_handling({.zero_grad = true});
  optimizer.step();
  optimizer.set_gradient_handling({});
  model.draw_gradients(3, 200);
  const std::vector<float> before = model.grad(0).read();
  optimizer.step();
  EXPECT_TRUE(equal_bits(before, model.grad(0).read()));
}

TEST(ZeroedByTheStep, ZeroingHappensAfterTheNormIsTaken) {
  Model model(std::vector<Shape>{{.numel = 5000}});
  Optimizer optimizer(SGD{}, model.parameters());
  optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.1}, .zero_grad = true});
  optimizer.step();
  EXPECT_GT(optimizer.grad_norm(), 0.1);
  optimizer.step();
  EXPECT_EQ(optimizer.grad_norm(), 0.0);
}

/// Two parameters, the last gradient element of the first being the first of the second.
struct Shared {
  std::vector<float> first{1, 1}, second{1, 1}, gradients{1, 2, 3};
  std::vector<Tensor> apart{Tensor(gradients.data(), 2), Tensor()};
  std::vector<Tensor> together{Tensor(gradients.data(), 2), Tensor(gradients.data() + 1, 2)};

  std::vector<Parameter> parameters(const std::vector<Tensor>& grads) {
    return {{.name = "a", .value = std::span(first), .grad = grads[0]},
            {.name = "b", .value = std::span(second), .grad = grads[1]}};
  }
};

TEST(SharedGradients, AreRefusedWhicheverComesLastTheSharingOrTheZeroing) {
  for (const bool accumulates : {false, true}) {
    const Options options{.accumulates_gradients = accumulates};
    Shared shared;
    Optimizer sharing{SGD{.lr = 1}, shared.parameters(shared.together), options};
    EXPECT_TRUE(refused([&] { sharing.set_gradient_handling({.zero_grad = true}); },
                        {"gradient of \"a\"", "gradient of \"b\"", "overlap", "zero_grad"}));
    EXPECT_EQ(sharing.gradient_handling(), GradientHandling{});

    Optimizer zeroing{SGD{.lr = 1}, shared.parameters(shared.apart), options};
    zeroing.set_gradient_handling({.zero_grad = true});
    EXPECT_TRUE(refused([&] { zeroing.set_gradients(shared.together); }, {"\"a\"", "\"b\"", "zero_grad"}));
    std::vector<float> late{1, 1};
    const std::vector<Parameter> joining{{.name = "c", .value = std::span(late), .grad = shared.together[1]}};
    EXPECT_TRUE(refused([&] { zeroing.add_parameters(joining); }, {"\"a\"", "\"c\"", "zero_grad"}));
    EXPECT_EQ(shared.gradients, (std::vector<float>{1, 2, 3}));
  }
}

TEST(SharedGradients, AreReadByAllWhileNothingIsZeroed) {
  Shared shared;
  Optimizer optimizer{SGD{.lr = 1}, shared.parameters(shared.together)};
  optimizer.step();
  EXPECT_EQ(shared.first, (std::vector<float>{0, -1}));
  EXPECT_EQ(shared.second, (std::vector<float>{-1, -2}));
}

}  // namespace
}  // namespace onepass::test
