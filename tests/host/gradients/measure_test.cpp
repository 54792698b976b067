// measure_test.cpp - shards that add up their measures step as the whole model does: with its norm, and all
// or none of them.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"
#include "support/shards/sharded_model.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

const std::vector<std::int64_t> kNumels{5000, 3, 9000, 1024};

/// Cuts between leaves, on elements that are multiples of 1,024; some shards have nothing of a tensor.
const std::vector<std::vector<std::int64_t>> kLeafCuts{
    {1024, 0, 4096, 0}, {1024, 0, 8192, 1024}, {4096, 3, 8192, 1024}};
/// Cuts inside leaves.
const std::vector<std::vector<std::int64_t>> kOtherCuts{{32, 0, 4000, 512}, {2080, 0, 8992, 1024}};

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }

std::string complaint(Optimizer& optimizer) {
  try {
    optimizer.check();
  } catch (const NonFiniteGradient& error) {
    return error.what();
  }
  return "";
}

/// Expects all shards to have done what the whole has: norms, counts, parameters.
void expect_like_the_whole(ShardedModel& model) {
  Optimizer& whole = model.optimizer();
  model.each([&](Shard& shard) {
    EXPECT_EQ(bits(whole.grad_norm()), bits(shard.optimizer().grad_norm()));
    for (std::size_t group = 0; group < 2; ++group) {
      EXPECT_EQ(bits(whole.grad_norm(group)), bits(shard.optimizer().grad_norm(group)));
    }
    for (std::size_t t = 0; t < model.tensors(); ++t) {
      const std::string name = "t" + std::to_string(t);
      EXPECT_EQ(bits(whole.grad_norm(name)), bits(shard.optimizer().grad_norm(name)));
    }
    EXPECT_EQ(whole.steps(), shard.optimizer().steps());
    EXPECT_EQ(whole.skipped_steps(), shard.optimizer().skipped_steps());
    EXPECT_EQ(whole.loss_scale(), shard.optimizer().loss_scale());
  });
  for (std::size_t t = 0; t < model.tensors(); ++t) {
    EXPECT_TRUE(equal_bits(model.whole().value(t), model.value(t))) << "tensor " << t;
  }
}

std::vector<ClipGradNorm> clips() {
  std::vector<ClipGradNorm> all;
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    for (const ClipFormula formula : {ClipFormula::pytorch, ClipFormula::exact}) {
      for (const bool per_group : {false, true}) {
        all.push_back({.max_norm = 0.5, .norm_type = type, .formula = formula, .per_group = per_group});
      }
      all.push_back({.max_norm = 0.5, .norm_type = type, .formula = formula, .per_parameter = true});
    }
  }
  return all;
}

TEST(Measure, ShardsStepWithTheBitsOfTheWhole) {
  for (const ClipGradNorm& clip : clips()) {
    ShardedModel model(kNumels, kLeafCuts, {.clip_norm = clip});
    for (int step = 1; step <= 3; ++step) {
      model.draw(step);
      model.step();
      EXPECT_GT(model.optimizer().grad_norm(), 0.5);
      expect_like_the_whole(model);
    }
  }
}

TEST(Measure, ItsLengthIsThatOfTheNorm) {
  ShardedModel model(kNumels, {}, {.clip_norm = ClipGradNorm{}});
  Optimizer& optimizer = model.optimizer();
  EXPECT_EQ(optimizer.measure_numel(), 22);
  optimizer.clip_grad_norm({.per_group = true});
  EXPECT_EQ(optimizer.measure_numel(), 44);
  optimizer.clip_grad_norm({.per_parameter = true});
  EXPECT_EQ(optimizer.measure_numel(), 110) << "four parameters, and all of them";
  optimizer.clip_grad_norm({.norm_type = NormType::infinity, .per_parameter = true});
  EXPECT_EQ(optimizer.measure_numel(), 5);
  optimizer.clip_grad_norm({.norm_type = NormType::infinity, .per_group = true});
  EXPECT_EQ(optimizer.measure_numel(), 2);
  optimizer.clip_grad_norm({.norm_type = NormType::infinity});
  EXPECT_EQ(optimizer.measure_numel(), 1);
}

// 2^31 shards are more than any test has; each digit of one is below 2^32.
TEST(Measure, DigitsLeaveRoomForTheSumsOfManyShards) {
  ShardedModel model(kNumels, {}, {.clip_norm = ClipGradNorm{.norm_type = NormType::l1}});
  model.draw(1);
  for (float& g : model.whole().grad(2)) g = 0x1.fffffep127f;
  std::vector<std::int64_t> measure = model.combined();
  for (const std::int64_t digit : measure) {
    EXPECT_GE(digit, 0);
    EXPECT_LT(digit, std::int64_t{1} << 32);
  }
  constexpr std::int64_t kShards = std::int64_t{1} << 31;
  model.optimizer().step_measured({measure.data(), DType::int64, 22});
  const double one = model.optimizer().grad_norm();
  for (std::int64_t& digit : measure) digit *= kShards;
  model.optimizer().step_measured({measure.data(), DType::int64, 22});
  EXPECT_EQ(bits(model.optimizer().grad_norm()), bits(one * static_cast<double>(kShards)));
}

// The parts of a leaf that is cut are rounded each. On the way from an element to the sum of its leaf a
// number is rounded at most 8 times in its slot and 2 + 5 times where slots fold, by 2^-53 each. All terms
// are positive, so either sum is within 15 * 2^-53 of the exact one, and they are within 2^-48 of each other.
// The roundings of the total add at most twice 2^-51, and those of a root, which halves all this, twice
// 2^-53. That makes less than 2^-47.
TEST(Measure, CutLeavesGiveAllShardsOneNorm) {
  for (const NormType type : {NormType::l1, NormType::l2}) {
    ShardedModel model(kNumels, kOtherCuts, {.clip_norm = ClipGradNorm{.max_norm = 0.5, .norm_type = type}});
    model.draw(1);
    model.step();
    const double norm = model.shard(0).optimizer().grad_norm();
    model.each([&](Shard& shard) { EXPECT_EQ(bits(shard.optimizer().grad_norm()), bits(norm)); });
    EXPECT_LE(std::fabs(norm - model.optimizer().grad_norm()), 0x1p-47 * norm);
  }
}

TEST(Measure, AllShardsSkipForOneOfThem) {
  for (const bool per_group : {false, true}) {
    for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
      for (const float bad : {kInf, -kInf, kNaN}) {
        ShardedModel model(kNumels, kLeafCuts,
                           {.clip_norm = ClipGradNorm{.norm_type = type, .per_group = per_group},
                            .nonfinite = NonFinite::error});
        for (int step = 1; step <= 3; ++step) {
          model.draw(step);
          if (step == 2) {
            model.whole().grad(2)[5000] = bad;
            model.shard(1).grad(2)[5000 - 4096] = bad;
          }
          model.step();
          const double norm = model.optimizer().grad_norm();
          EXPECT_EQ(std::isnan(norm), step == 2 && std::isnan(bad));
          EXPECT_EQ(std::isinf(norm), step == 2 && std::isinf(bad));
          if (!std::isnan(norm)) expect_like_the_whole(model);
          model.each([&](Shard& shard) {
            EXPECT_EQ(std::isnan(norm), std::isnan(shard.optimizer().grad_norm()));
            EXPECT_EQ(shard.optimizer().skipped_steps(), step == 1 ? 0 : 1);
          });
        }
      }
    }
  }
}

TEST(Measure, OnlyTheShardThatHasTheElementNamesIt) {
  ShardedModel model(kNumels, kLeafCuts, {.nonfinite = NonFinite::error});
  model.draw(1);
  model.shard(1).grad(2)[904] = kNaN;
  model.step();
  EXPECT_NE(complaint(model.shard(1).optimizer()).find("element 904 of \"t2\""), std::string::npos);
  for (const std::size_t rank : {0, 2, 3}) {
    EXPECT_NE(complaint(model.shard(rank).optimizer()).find("another shard"), std::string::npos) << rank;
    EXPECT_EQ(complaint(model.shard(rank).optimizer()), "");
  }
}

// The element is counted in the parameters that remain.
TEST(Measure, RemovedParametersMoveTheElementThatWasMeasured) {
  ShardedModel model(kNumels, {}, {.nonfinite = NonFinite::error});
  Optimizer& optimizer = model.optimizer();
  model.draw(1);
  model.whole().grad(2)[904] = kNaN;
  std::vector<std::int64_t> measure(22);
  const Tensor tensor{measure.data(), DType::int64, 22};
  optimizer.measure(tensor);
  optimizer.remove_parameters({"t0"});
  optimizer.step_measured(tensor);
  EXPECT_NE(complaint(optimizer).find("element 904 of \"t2\""), std::string::npos);
  optimizer.measure(tensor);
  optimizer.remove_parameters({"t2"});
  optimizer.step_measured(tensor);
  EXPECT_NE(complaint(optimizer).find("was removed"), std::string::npos);
}

TEST(Measure, LossScalersBackOffTogether) {
  ShardedModel model(kNumels, kLeafCuts,
                     {.clip_norm = ClipGradNorm{.max_norm = 0.01},
                      .loss_scaler = LossScaler{.init_scale = 64, .growth_interval = 2}});
  for (int step = 1; step <= 7; ++step) {
    model.draw(step);
    if (step == 3) {
      model.whole().grad(0)[4999] = kInf;
      model.shard(3).grad(0)[4999 - 4096] = kInf;
    }
    model.step();
    expect_like_the_whole(model);
  }
  EXPECT_EQ(model.optimizer().skipped_steps(), 1);
}

TEST(Measure, AccumulatedSumsAreMeasured) {
  ShardedModel model(kNumels, kLeafCuts, {.clip_norm = ClipGradNorm{.max_norm = 0.5}},
                     {.accumulates_gradients = true});
  for (int step = 1; step <= 3; ++step) {
    for (int batch = 0; batch < 3; ++batch) {
      model.draw(10 * step + batch);
      model.optimizer().accumulate({.weight = 1.0 + batch});
      model.each([&](Shard& shard) { shard.optimizer().accumulate({.weight = 1.0 + batch}); });
    }
    model.step();
    expect_like_the_whole(model);
  }
}

// A measure that no step took is forgotten.
TEST(Measure, MeasuringTwiceOrInVainChangesNothing) {
  const GradientHandling handling{.clip_norm = ClipGradNorm{.max_norm = 0.5, .per_group = true},
                                  .nonfinite = NonFinite::error};
  ShardedModel model(kNumels, kLeafCuts, handling);
  Optimizer& whole = model.optimizer();
  for (int step = 1; step <= 3; ++step) {
    model.draw(step);
    if (step == 2) {
      model.whole().grad(0)[7] = kNaN;
      std::vector<std::int64_t> ignored(44);
      whole.measure({ignored.data(), DType::int64, 44});
      model.draw(step);
      whole.measure({ignored.data(), DType::int64, 44});
    }
    static_cast<void>(model.combined());
    model.step();
    expect_like_the_whole(model);
  }
  EXPECT_EQ(whole.steps(), 3);
  whole.check();
}

class BadMeasure : public testing::Test {
 protected:
  void expect_refused(const Tensor& measure, std::initializer_list<std::string> words) {
    model_.draw(1);
    const std::vector<float> before = model_.whole().value(0);
    EXPECT_TRUE(refused([&] { model_.optimizer().measure(measure); }, words));
    EXPECT_TRUE(refused([&] { model_.optimizer().step_measured(measure); }, words));
    EXPECT_TRUE(equal_bits(before, model_.whole().value(0)));
    EXPECT_EQ(model_.optimizer().steps(), 0);
  }

  ShardedModel model_{kNumels, {}, {.clip_norm = ClipGradNorm{}}};
  std::vector<std::int64_t> words_ = std::vector<std::int64_t>(23);
};

TEST_F(BadMeasure, NullIsRefused) {
  expect_refused({nullptr, DType::int64, 22}, {"Optimizer", "measure", "null", "22 elements"});
  expect_refused({}, {"0 elements", "must have 22"});
}

TEST_F(BadMeasure, AnotherLengthIsRefused) {
  for (const std::int64_t numel : {-1, 0, 1, 21, 23, 44}) {
    expect_refused({words_.data(), DType::int64, numel},
                   {std::to_string(numel), "must have 22", "measure_numel"});
  }
  model_.optimizer().clip_grad_norm({.per_group = true});
  expect_refused({words_.data(), DType::int64, 22}, {"22 elements", "must have 44"});
  model_.optimizer().clip_grad_norm({.norm_type = NormType::infinity});
  expect_refused({words_.data(), DType::int64, 22}, {"22 elements", "must have 1 "});
}

TEST_F(BadMeasure, AnotherTypeIsRefused) {
  expect_refused({words_.data(), DType::float32, 22}, {"measure", "int64", "float32"});
}

TEST_F(BadMeasure, UnalignedMemoryIsRefused) {
  expect_refused({reinterpret_cast<std::byte*>(words_.data()) + 4, DType::int64, 22},
                 {"measure", "aligned", "8"});
}

TEST_F(BadMeasure, AnotherDeviceIsRefused) {
  expect_refused({words_.data(), DType::int64, 22, Device::cuda(0)}, {"measure", "cuda:0", "cpu"});
}

TEST_F(BadMeasure, NothingToMeasureIsRefused) {
  model_.optimizer().set_gradient_handling({});
  expect_refused({words_.data(), DType::int64, 22}, {"clip_norm", "NonFinite::skip"});
}

}  // namespace
}  // namespace onepass::test
