// sam_test.cpp - steps by the gradients of a second pass, and slow weights around steps, on made-up images.
#include <cmath>
#include <string>

#include "tests/training/trainer_support.hpp"

namespace train {
namespace {

using testing::everything;
using testing::file_of;
using testing::numbers_of;
using testing::sentence;
using testing::TrainerTest;

class SecondPass : public TrainerTest {
 protected:
  /// Gradient descent at a rate of 1, so that a step subtracts the gradient itself.
  static Settings descent(double dropout) {
    Settings settings = config("sgd");
    settings.lr = 1.0;
    settings.hidden = {12, 11};
    settings.dropout = dropout;
    return settings;
  }

  static Settings with_sam(Settings settings, double sam, double asam = 0.0) {
    settings.sam = sam;
    settings.asam = asam;
    return settings;
  }

  /// Returns the gradient of the first batch where the weights are `at`.
  std::vector<double> gradient_at(const std::vector<double>& at, double dropout) {
    Trainer trainer = make(descent(dropout));
    Checkpoint start = trainer.checkpoint();
    std::size_t i = 0;
    for (NamedValues& tensor : start.parameters) {
      for (float& value : tensor.values) value = static_cast<float>(at[i++]);
    }
    trainer.restore(start);
    trainer.run(1);
    std::vector<double> gradient = numbers_of(trainer);
    for (i = 0; i < gradient.size(); ++i) gradient[i] = static_cast<float>(at[i]) - gradient[i];
    return gradient;
  }

  /// Returns the weights of a step by the formula of ASAM with eta, or of SAM.
  std::vector<double> expected_step(double rho, bool adaptive, double eta, double dropout) {
    const std::vector<double> start = numbers_of(make(descent(dropout)));
    const std::vector<double> gradient = gradient_at(start, dropout);
    std::vector<double> moved = start;
    double squares = 0.0;
    const auto size = [&](std::size_t i) { return adaptive ? std::abs(start[i]) + eta : 1.0; };
    for (std::size_t i = 0; i < start.size(); ++i) squares += std::pow(size(i) * gradient[i], 2);
    for (std::size_t i = 0; i < start.size(); ++i) {
      moved[i] += rho * size(i) * size(i) * gradient[i] / (std::sqrt(squares) + 1e-12);
    }
    const std::vector<double> second = gradient_at(moved, dropout);
    std::vector<double> expected = start;
    for (std::size_t i = 0; i < start.size(); ++i) expected[i] -= second[i];
    return expected;
  }

  std::vector<double> after(const Settings& settings, std::int64_t steps) {
    Trainer trainer = make(settings);
    trainer.run(steps);
    return numbers_of(trainer);
  }
};

double farthest(const std::vector<double>& a, const std::vector<double>& b) {
  double farthest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) farthest = std::max(farthest, std::abs(a[i] - b[i]));
  return farthest;
}

TEST_F(SecondPass, AStepTakesTheGradientOfTheMovedWeightsAndTheSameMasks) {
  for (const double dropout : {0.0, 0.4}) {
    const std::vector<double> plain = after(descent(dropout), 1);
    const std::vector<double> sam = after(with_sam(descent(dropout), 0.5), 1);
    const std::vector<double> asam = after(with_sam(descent(dropout), 0.0, 2.0), 1);
    // A gradient read off a step is off by a rounding of the weight, 2^-24; other masks move it by 1e-2.
    EXPECT_LT(farthest(sam, expected_step(0.5, false, 0.0, dropout)), 2e-6) << dropout;
    EXPECT_LT(farthest(asam, expected_step(2.0, true, 0.01, dropout)), 2e-6) << dropout;
    EXPECT_GT(farthest(sam, plain), 1e-3) << dropout;
    EXPECT_GT(farthest(asam, plain), 1e-3) << dropout;
    EXPECT_GT(farthest(asam, sam), 1e-3) << dropout;
  }
}

TEST_F(SecondPass, TheReportedLossIsThatOfTheWeightsInTraining) {
  EXPECT_EQ(make(with_sam(config("adamw"), 0.5)).run(1).losses, make(config("adamw")).run(1).losses);
  EXPECT_NE(make(with_sam(config("adamw"), 0.5)).run(9).losses, make(config("adamw")).run(9).losses);
}

TEST_F(SecondPass, ADistanceOfZeroIsATrainingRunWithoutIt) {
  EXPECT_EQ(after(with_sam(everything("adamw"), 0.0), 7), after(everything("adamw"), 7));
}

TEST_F(SecondPass, AResumedRunEqualsAnUninterruptedOne) {
  for (const char* precision : {"f32", "bf16", "bf16-split", "compact"}) {
    for (const bool adaptive : {false, true}) {
      Settings settings = with_sam(everything("adamw"), adaptive ? 0.0 : 0.1, adaptive ? 1.0 : 0.0);
      settings.precision = precision;
      Trainer whole = make(settings);
      whole.run(13);
      Trainer before = make(settings);
      before.run(6);
      const Checkpoint saved = testing::through_a_file(before.checkpoint());
      Trainer resumed = make(load_settings(saved.settings));
      resumed.restore(saved);
      resumed.run(7);
      EXPECT_EQ(file_of(resumed.checkpoint()), file_of(whole.checkpoint())) << precision << adaptive;
    }
  }
}

TEST_F(SecondPass, AccumulatedBatchesEqualOneLargeBatch) {
  Settings batches = with_sam(descent(0.4), 0.5);
  batches.lr = 0.125;
  batches.accumulate = 3;
  Settings whole = batches;
  whole.accumulate = 1;
  whole.batch_size = 21;
  Trainer in_batches = make(batches);
  Trainer at_once = make(whole);
  const History one = in_batches.run(5);  // the last step has batches of 7, 7 and 2 images
  const History other = at_once.run(5);
  EXPECT_LT(farthest(numbers_of(in_batches), numbers_of(at_once)), 2e-5);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(one.losses[i], other.losses[i], 2e-5);
}

TEST_F(SecondPass, AResumedRunMayMoveToAnotherDistanceOrStopMoving) {
  const Settings moving = with_sam(config("momentum"), 0.25);
  Trainer before = make(moving);
  before.run(3);
  const Checkpoint saved = testing::through_a_file(before.checkpoint());
  std::vector<std::vector<double>> ends;
  for (const Settings& settings : {moving, with_sam(moving, 0.5), with_sam(moving, 0.0)}) {
    Trainer trainer = make(settings);
    trainer.restore(saved);
    trainer.run(2);
    ends.push_back(numbers_of(trainer));
  }
  EXPECT_NE(ends[0], ends[1]);
  EXPECT_NE(ends[0], ends[2]);
}

TEST_F(SecondPass, SlowWeightsAroundItGoOnBitForBit) {
  for (const char* precision : {"f32", "bf16-master", "bf16-split"}) {
    Settings settings = with_sam(everything("adamw"), 0.1);
    settings.precision = precision;
    settings.lookahead = 4;
    Trainer whole = make(settings);
    whole.run(13);
    Trainer before = make(settings);
    before.run(6);
    const Checkpoint saved = testing::through_a_file(before.checkpoint());
    Trainer resumed = make(load_settings(saved.settings));
    resumed.restore(saved);
    resumed.run(7);
    EXPECT_EQ(file_of(resumed.checkpoint()), file_of(whole.checkpoint())) << precision;
  }
}

TEST_F(SecondPass, LookaheadGoesHalfwayBackToWhereItStarted) {
  Settings slow = descent(0.0);
  slow.lookahead = 3;
  const std::vector<double> start = after(slow, 0), moved = after(descent(0.0), 3);
  EXPECT_EQ(after(slow, 2), after(descent(0.0), 2));
  std::vector<double> halfway = start;
  for (std::size_t i = 0; i < halfway.size(); ++i) halfway[i] = 0.5 * (start[i] + moved[i]);
  EXPECT_LT(farthest(after(slow, 3), halfway), 2e-7);
  EXPECT_GT(farthest(after(slow, 3), moved), 1e-2);
}

TEST_F(SecondPass, LookaheadIsRefusedWhereWeightsAreNotInFloat32) {
  for (const char* precision : {"bf16", "compact"}) {
    Settings settings = config("sgd");
    settings.precision = precision;
    settings.lookahead = 5;
    EXPECT_EQ(
        sentence<UsageError>([&] { make(settings); }),
        std::string("--lookahead needs --precision f32, bf16-master or bf16-split, which keep weights in "
                    "float32, but --precision is ") +
            precision);
  }
}

TEST_F(SecondPass, SamTogetherWithAsamIsRefused) {
  EXPECT_EQ(
      sentence<UsageError>([&] { make(with_sam(config("sgd"), 0.05, 0.5)); }),
      "--sam 0.05 and --asam 0.5 both move the weights for the second pass; at most one may be above 0");
}

}  // namespace
}  // namespace train
