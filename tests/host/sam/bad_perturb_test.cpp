// bad_perturb_test.cpp - calls that do not fit a perturbation are refused and change nothing, and what it
// keeps is counted.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "host/sam/sam_model.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

class BadPerturb : public testing::Test {
 protected:
  /// Expects a call to be refused, and the values to stay.
  template <class Call>
  void expect_refused(Call call, std::initializer_list<std::string> words) {
    const std::vector<float> before = model_.value(0).read();
    EXPECT_TRUE(refused([&] { call(optimizer_); }, words));
    EXPECT_TRUE(equal_bits(before, model_.value(0).read()));
  }

  Model model_{{{.numel = 100}, {.numel = 7}}};
  Optimizer optimizer_{AdamW{}, model_.parameters()};
};

TEST_F(BadPerturb, MembersOutOfRangeAreRefused) {
  for (const double bad : {-0.1, 1e39, std::numeric_limits<double>::infinity(), std::nan("")}) {
    expect_refused([&](Optimizer& one) { one.perturb({.rho = bad}); }, {"Sam.rho", "at least 0"});
    expect_refused([&](Optimizer& one) { one.perturb({.adaptive = true, .eta = bad}); },
                   {"Sam.eta", "at least 0"});
  }
  expect_refused([&](Optimizer& one) { one.perturb({.rho = -0.1}); }, {"but is -0.1"});
  expect_refused([&](Optimizer& one) { one.perturb({.eta = 0.5}); }, {"Sam.eta is 0.5", "adaptive"});
}

TEST_F(BadPerturb, ASecondPerturbationIsRefused) {
  optimizer_.perturb({});
  expect_refused([](Optimizer& one) { one.perturb({}); }, {"perturb()", "after perturb()", "restore()"});
  optimizer_.restore();
  optimizer_.perturb({});
}

TEST_F(BadPerturb, WhatNeedsTheParametersThemselvesIsRefused) {
  const StateDict dict = optimizer_.state_dict();
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "onepass_bad_perturb.safetensors";
  optimizer_.perturb({});
  expect_refused([](Optimizer& one) { (void)one.state_dict(); }, {"state_dict()", "after perturb()"});
  expect_refused([&](Optimizer& one) { one.load_state_dict(dict); },
                 {"load_state_dict()", "after perturb()"});
  expect_refused([&](Optimizer& one) { save(file.string(), one); }, {"after perturb()"});
  expect_refused([](Optimizer& one) { one.add_parameters(std::vector<Parameter>{}); },
                 {"add_parameters()", "after perturb()"});
  expect_refused([](Optimizer& one) { one.remove_parameters({"t1"}); },
                 {"remove_parameters()", "after perturb()"});
  EXPECT_FALSE(std::filesystem::exists(file));
  optimizer_.restore();
  EXPECT_EQ(optimizer_.state_dict().parameters.size(), 2u);
}

TEST_F(BadPerturb, RestoreWithoutAPerturbationDoesNothing) {
  const std::vector<float> before = model_.value(0).read();
  optimizer_.restore();
  optimizer_.perturb({});
  optimizer_.restore();
  model_.value(0).write(std::vector<float>(100, 2.0f));
  optimizer_.restore();
  EXPECT_EQ(model_.value(0).read(), std::vector<float>(100, 2.0f));
  EXPECT_NE(before, model_.value(0).read());
}

TEST_F(BadPerturb, ARoundIsRefused) {
  model_.draw_finite_gradients(1);
  optimizer_.step_some(std::vector<std::size_t>{0});
  expect_refused([](Optimizer& one) { one.perturb({}); }, {"perturb()", "round"});
  optimizer_.end_round();
  optimizer_.perturb({});
}

TEST_F(BadPerturb, AMeasureThatDoesNotFitIsRefused) {
  std::vector<std::int64_t> words(23);
  const Tensor wide{words.data(), DType::int64, 23}, floats{words.data(), DType::float32, 22};
  for (const auto& [measure, word] : {std::pair{wide, "must have 22"}, {floats, "int64"}}) {
    expect_refused([&](Optimizer& one) { one.measure_perturbation({}, measure); },
                   {"measure_perturbation()", word});
    expect_refused([&](Optimizer& one) { one.perturb_measured({}, measure); }, {"perturb_measured()", word});
  }
  optimizer_.perturb({});
  const Tensor good{words.data(), DType::int64, 22};
  expect_refused([&](Optimizer& one) { one.measure_perturbation({}, good); }, {"after perturb()"});
  expect_refused([&](Optimizer& one) { one.perturb_measured({}, good); }, {"after perturb()"});
}

TEST_F(BadPerturb, AKnownShardIsRefused) {
  std::vector<float> p{1.0f, 2.0f}, g{1.0f, 1.0f};
  for (const Parameter& shard : {Parameter{.name = "w", .value = p, .grad = g, .first = 64},
                                 Parameter{.name = "w", .value = p, .grad = g, .run = 1, .pitch = 4}}) {
    Optimizer optimizer(SGD{}, std::vector<Parameter>{shard});
    EXPECT_TRUE(refused([&] { optimizer.perturb({}); }, {"perturb()", "\"w\"", "measure_perturbation()"}));
    std::vector<std::int64_t> words(22);
    optimizer.measure_perturbation({}, {words.data(), DType::int64, 22});
    optimizer.perturb_measured({}, {words.data(), DType::int64, 22});
    EXPECT_NE(p[0], 1.0f);
    optimizer.restore();
    EXPECT_EQ(p[0], 1.0f);
  }
}

double bytes_of_stream(const Optimizer& optimizer, const std::string& name) {
  for (const StreamBytes& stream : optimizer.memory()) {
    if (stream.name == name) return stream.bytes;
  }
  return 0.0;
}

TEST(PerturbMemory, IsCountedFromTheFirstPerturbationOn) {
  std::vector<float> p(10), g(10);
  const FormatBuffer half(Device::cpu(), DType::bfloat16, 6, 0),
      half_grad(Device::cpu(), DType::bfloat16, 6, 0), copied(Device::cpu(), DType::float16, 10, 0);
  Optimizer optimizer(
      SGD{}, std::vector<Parameter>{{.name = "a", .value = p, .grad = g, .copy = copied.tensor()},
                                    {.name = "b", .value = half.tensor(), .grad = half_grad.tensor()}});
  EXPECT_EQ(bytes_of_stream(optimizer, "old_p"), 0.0);
  optimizer.perturb({});
  EXPECT_EQ(bytes_of_stream(optimizer, "old_p"), 10 * 4.0 + 6 * 2.0);
  EXPECT_EQ(bytes_of_stream(optimizer, "old_copy"), 10 * 2.0);
  optimizer.restore();
  optimizer.remove_parameters({"b"});
  EXPECT_EQ(bytes_of_stream(optimizer, "old_p"), 0.0);
  optimizer.perturb({});
  EXPECT_EQ(bytes_of_stream(optimizer, "old_p"), 10 * 4.0);
}

TEST(PerturbMemory, ParametersThatMoveWhilePerturbedAreRestoredWhereTheyAre) {
  std::vector<float> p{1.0f, 2.0f}, g{3.0f, 4.0f};
  Optimizer optimizer(SGD{}, std::vector<Parameter>{{.name = "w", .value = p, .grad = g}});
  optimizer.perturb({.rho = 5.0});
  std::vector<float> elsewhere = p;
  optimizer.set_memory(std::vector<Parameter>{{.name = "w", .value = elsewhere, .grad = g}});
  optimizer.restore();
  EXPECT_EQ(elsewhere, (std::vector<float>{1.0f, 2.0f}));
  EXPECT_NE(p, elsewhere);
}

TEST(PerturbMemory, AddedParametersAreKeptToo) {
  std::vector<float> p{1.0f}, g{3.0f}, late{2.0f}, late_grad{4.0f};
  Optimizer optimizer(SGD{}, std::vector<Parameter>{{.name = "w", .value = p, .grad = g}});
  optimizer.perturb({});
  optimizer.restore();
  optimizer.add_parameters(std::vector<Parameter>{{.name = "late", .value = late, .grad = late_grad}});
  optimizer.perturb({.rho = 5.0});
  EXPECT_EQ(late, std::vector<float>{6.0f});
  optimizer.restore();
  EXPECT_EQ(p, std::vector<float>{1.0f});
  EXPECT_EQ(late, std::vector<float>{2.0f});
}

}  // namespace
}  // namespace onepass::test
