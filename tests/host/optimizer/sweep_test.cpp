// sweep_test.cpp - a sweep changes what its rule says, and nothing else: no count, no parameter, no other
// rule.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/model.hpp"
#include "support/numbers/one_element.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr SophiaG kExact{.lr = 0.5, .beta1 = 0.5, .beta2 = 0.75, .rho = 0.5, .batch_size = 2.0};

void refresh(OneElement<SophiaG>& one, float gradient) {
  one.set_gradient(gradient);
  one.optimizer().sweep("update_hessian");
}

// hessian = 0.25 * 16; then a step of 0.5 * (0.5 * 2) / (1 * 4).
TEST(Sweep, RefreshesTheHessianThatStepsDivideBy) {
  OneElement<SophiaG> one(kExact, 1.0f);
  refresh(one, 4.0f);
  EXPECT_EQ(one.state("hessian"), 4.0f);
  EXPECT_EQ(one.state("exp_avg"), 0.0f);
  refresh(one, 0.0f);
  EXPECT_EQ(one.state("hessian"), 3.0f);
  refresh(one, -4.0f);
  EXPECT_EQ(one.state("hessian"), 6.25f);
  SophiaG plain = kExact;
  plain.weight_decay = 0.0;
  one.optimizer().set_rule(plain);
  EXPECT_EQ(one.step(2.0f), 1.0f - 0.5f * (1.0f / 6.25f));
}

TEST(Sweep, CountsNothingAndMovesNoParameter) {
  OneElement<SophiaG> one(SophiaG{.weight_decay = 0.5, .l1 = 0.5}, 1.0f);
  refresh(one, 4.0f);
  EXPECT_EQ(one.optimizer().steps(), 0);
  EXPECT_EQ(one.optimizer().step_count("p"), 0);
  EXPECT_EQ(one.value(), 1.0f);
}

TEST(Sweep, TakesTheLossScaleOutAndDoesNotClip) {
  OneElement<SophiaG> one(kExact, 1.0f);
  one.optimizer().set_gradient_handling(
      {.clip_norm = ClipGradNorm{.max_norm = 0.01}, .clip_value = 0.01, .loss_scale = 8.0});
  refresh(one, 32.0f);
  EXPECT_EQ(one.state("hessian"), 4.0f);
  // The norm of the sweep's gradients is forgotten: that of the step is its own.
  one.step(16.0f);
  EXPECT_EQ(one.optimizer().grad_norm(), 2.0);
}

TEST(Sweep, SkipsWhatIsNotFiniteIfStepsDo) {
  OneElement<SophiaG> one(kExact, 1.0f);
  one.optimizer().set_gradient_handling({.nonfinite = NonFinite::skip});
  refresh(one, std::numeric_limits<float>::infinity());
  EXPECT_EQ(one.state("hessian"), 0.0f);
  EXPECT_EQ(one.optimizer().skipped_steps(), 0);
  refresh(one, 4.0f);
  EXPECT_EQ(one.state("hessian"), 4.0f);
  one.step(1.0f);
  EXPECT_EQ(one.optimizer().steps(), 1);
}

TEST(Sweep, ZeroesGradientsIfStepsDo) {
  OneElement<SophiaG> one(kExact, 1.0f);
  one.optimizer().set_gradient_handling({.zero_grad = true});
  refresh(one, 4.0f);
  EXPECT_EQ(one.gradient(), 0.0f);
}

TEST(Sweep, LeavesOtherRulesAndNullGradientsAlone) {
  const std::vector<Shape> shapes{{.numel = 70}, {.numel = 33, .group = 1, .id = 1}, {.numel = 40, .id = 2}};
  Model model(shapes), untouched(shapes);
  Optimizer optimizer(std::vector<Rule>{kExact, AdamW{}}, model.parameters());
  Optimizer usual(std::vector<Rule>{kExact, AdamW{}}, untouched.parameters());
  train_finite(model, optimizer, 2);
  train_finite(untouched, usual, 2);
  std::vector<Tensor> gradients = model.gradients();
  gradients[2].data = nullptr;
  optimizer.set_gradients(gradients);
  model.draw_finite_gradients(3);
  optimizer.sweep("update_hessian");
  Snapshot expected = snapshot(untouched.parameters(), usual),
           actual = snapshot(model.parameters(), optimizer);
  EXPECT_NE(expected.at("t0.hessian"), actual.at("t0.hessian"));
  expected["t0.hessian"] = actual["t0.hessian"];
  EXPECT_TRUE(equal_bits(expected, actual));
}

TEST(Sweep, KeepsAveragesAndCopies) {
  std::vector<float> value{1.0f, -2.0f}, grad{4.0f, 4.0f};
  std::vector<std::uint16_t> copied(2);
  Parameter parameter{.name = "p", .value = value, .grad = grad};
  parameter.copy = {copied.data(), DType::bfloat16, 2};
  Optimizer optimizer(kExact, std::vector<Parameter>{parameter}, {.ema = EMA{.decay = 0.5}});
  optimizer.step();
  const auto average = [&] { return *static_cast<const float*>(optimizer.state("p", "ema").data); };
  const float before = average();
  const std::vector<std::uint16_t> copy_before = copied;
  optimizer.sweep("update_hessian");
  EXPECT_EQ(average(), before);
  EXPECT_EQ(copied, copy_before);
}

TEST(Sweep, ChangesNoParameterInAnyFormat) {
  for (const FormatCase& format : all_format_cases()) {
    SCOPED_TRACE(format.name);
    FormatModel model(format, Device::cpu(), {100, 33});
    Optimizer optimizer(SophiaG{.lr = 0.01}, model.parameters(),
                        {.storage = format.low(), .float32_storage = format.wide(), .seed = 7});
    model.draw_finite(1);
    optimizer.step();
    std::vector<std::vector<float>> before, after;
    for (std::size_t i = 0; i < 2; ++i) {
      before.push_back(decoded_param(format, model.value(i), optimizer.state_dict().parameters[i]));
    }
    optimizer.sweep("update_hessian");
    for (std::size_t i = 0; i < 2; ++i) {
      after.push_back(decoded_param(format, model.value(i), optimizer.state_dict().parameters[i]));
    }
    EXPECT_EQ(before, after);
  }
}

TEST(Sweep, FollowsParametersThatJoinAndLeave) {
  const std::vector<Shape> shapes{{.numel = 5}, {.numel = 6, .id = 1}};
  Model model(shapes);
  Optimizer optimizer(kExact, std::vector<Parameter>{model.parameters()[0]});
  model.draw_finite_gradients(1);
  optimizer.sweep("update_hessian");
  optimizer.add_parameters(std::vector<Parameter>{model.parameters()[1]});
  optimizer.sweep("update_hessian");
  EXPECT_GT(*static_cast<const float*>(optimizer.state("t1", "hessian").data), 0.0f);
  optimizer.remove_parameters({"t0"});
  optimizer.sweep("update_hessian");
}

TEST(Sweep, ThatNoRuleHasIsRefused) {
  OneElement<SophiaG> one(kExact);
  EXPECT_TRUE(refused([&] { one.optimizer().sweep("update"); }, {"sweep \"update\"", "update_hessian"}));
  OneElement<AdamW> other(AdamW{});
  EXPECT_TRUE(refused([&] { other.optimizer().sweep("update_hessian"); }, {"no rule of this optimizer"}));
}

TEST(Sweep, IsRefusedInARoundAndBesideAccumulatedGradients) {
  const std::vector<Shape> shapes{{.numel = 5}, {.numel = 6, .id = 1}};
  Model model(shapes);
  Optimizer optimizer(kExact, model.parameters());
  model.draw_finite_gradients(1);
  optimizer.step_some(std::vector<std::size_t>{0});
  EXPECT_TRUE(
      refused([&] { optimizer.sweep("update_hessian"); }, {"sweep() was called in the middle of a round"}));
  Optimizer sums(kExact, model.parameters(), {.accumulates_gradients = true});
  EXPECT_TRUE(refused([&] { sums.sweep("update_hessian"); }, {"accumulates"}));
}

}  // namespace
}  // namespace onepass::test
