// precision_test.cpp - runs in every precision on made-up images: storage, arithmetic and saved runs.
#include "training/precision.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "onepass/storage/bfloat16.hpp"
#include "report/report.hpp"
#include "tests/training/trainer_support.hpp"

namespace train {
namespace {

using onepass::DType;
using onepass::storage::BFloat16;
using testing::file_of;
using testing::sentence;
using testing::TrainerTest;

/// The values of --precision and --rounding, and the bytes per parameter with AdamW.
struct Kept {
  const char* name;
  const char* precision;
  onepass::Rounding rounding = onepass::Rounding::nearest;
  double bytes;           ///< Without scales.
  int scaled_states = 0;  ///< Those of 8 bits, which have a scale of 2 bytes for each 32 elements.
};

const Kept kFloat32{.name = "f32", .precision = "f32", .bytes = 16.0};
const Kept kNearest{.name = "bf16", .precision = "bf16", .bytes = 12.0};
const Kept kStochastic{
    .name = "bf16_stochastic", .precision = "bf16", .rounding = onepass::Rounding::stochastic, .bytes = 12.0};
const Kept kMaster{.name = "bf16_master", .precision = "bf16-master", .bytes = 16.0};
const Kept kSplit{.name = "bf16_split", .precision = "bf16-split", .bytes = 14.0};
const Kept kCompact{.name = "compact", .precision = "compact", .bytes = 7.0, .scaled_states = 2};

Settings kept_as(const Kept& kept, Settings settings) {
  settings.precision = kept.precision;
  settings.rounding = kept.rounding;
  return settings;
}

/// Prints a parameter for GoogleTest.
[[maybe_unused]] void PrintTo(const Kept& kept, std::ostream* out) { *out << kept.name; }

class EveryPrecision : public TrainerTest, public ::testing::WithParamInterface<Kept> {
 protected:
  [[nodiscard]] Settings kept(const char* optimizer) const { return kept_as(GetParam(), config(optimizer)); }
  [[nodiscard]] bool is_low() const { return std::string(GetParam().precision) != "f32"; }
};
INSTANTIATE_TEST_SUITE_P(Trainer, EveryPrecision,
                         ::testing::Values(kFloat32, kNearest, kStochastic, kMaster, kSplit, kCompact),
                         [](const auto& info) { return info.param.name; });

TEST_P(EveryPrecision, ParametersHaveTheirFormatAndTrainingLowersTheLoss) {
  Settings settings = kept("adamw");
  settings.lr = 0.01;
  Trainer trainer = make(settings);
  const DType dtype = is_low() ? DType::bfloat16 : DType::float32;
  for (const onepass::Parameter& parameter : trainer.network().parameters()) {
    EXPECT_EQ(parameter.value.dtype, dtype) << parameter.name;
    EXPECT_EQ(parameter.grad.dtype, dtype) << parameter.name;
  }
  double scales = 0.0;
  for (const onepass::Parameter& parameter : trainer.network().parameters()) {
    scales += 2.0 * GetParam().scaled_states * static_cast<double>((parameter.value.numel + 31) / 32);
  }
  const auto count = static_cast<double>(trainer.network().parameter_count());
  EXPECT_NEAR(bytes_per_parameter(trainer.memory(), trainer.network().parameter_count()),
              GetParam().bytes + scales / count, 1e-12);

  const double untrained = trainer.test().loss;
  EXPECT_NEAR(untrained, std::log(10.0), 0.2);
  trainer.run(500);
  EXPECT_LT(trainer.test().loss, 0.8 * untrained);
  std::uint32_t lower_bits = 0;
  for (const NamedValues& tensor : trainer.network().read()) {
    for (const float value : tensor.values) lower_bits |= std::bit_cast<std::uint32_t>(value) & 0xffffu;
  }
  EXPECT_EQ(lower_bits == 0, is_low());
}

TEST_P(EveryPrecision, InitialWeightsAreTheRoundedWeightsOfFloat32) {
  const std::vector<NamedValues> exact = make(config("adamw")).network().read();
  const std::vector<NamedValues> started = make(kept("adamw")).network().read();
  for (std::size_t i = 0; i < exact.size(); ++i) {
    std::vector<float> expected = exact[i].values;
    if (is_low()) {
      for (float& value : expected) value = BFloat16::decode(BFloat16::encode(value));
    }
    EXPECT_EQ(started[i].values, expected) << exact[i].name;
  }
}

TEST_P(EveryPrecision, MastersStartFromTheParameters) {
  Settings settings = kept("sgd");
  settings.lr = 0.0;
  Trainer trainer = make(settings);
  const std::vector<double> first = testing::numbers_of(trainer);
  trainer.run(2);
  EXPECT_EQ(testing::numbers_of(trainer), first);
}

TEST_P(EveryPrecision, AResumedRunEqualsAnUninterruptedOne) {
  for (const char* optimizer : {"momentum", "adamw"}) {
    const Settings settings = kept_as(GetParam(), testing::everything(optimizer));
    Trainer whole = make(settings);
    const History both = whole.run(13);
    for (const std::int64_t stop : {3, 5, 12}) {
      Trainer before = make(settings);
      before.run(stop);
      Trainer after = make(settings);
      after.restore(testing::through_a_file(before.checkpoint()));
      const History second = after.run(13 - stop);
      EXPECT_TRUE(std::equal(second.losses.begin(), second.losses.end(), both.losses.begin() + stop));
      EXPECT_EQ(file_of(after.checkpoint()), file_of(whole.checkpoint())) << optimizer << " " << stop;
    }
  }
}

/// The network has more than two million parameters, so that onepass really divides the step among threads.
TEST_P(EveryPrecision, TheNumberOfThreadsDoesNotChangeTheBits) {
  Settings settings = kept("adamw");
  settings.hidden = {2048, 1024};
  settings.init = "naive";
  const auto after = [&](int threads) {
    Trainer trainer(*backend_, images_, settings, {.threads = threads});
    trainer.run(3);
    return file_of(trainer.checkpoint());
  };
  EXPECT_TRUE(after(1) == after(3));
}

/// A network with 16-bit parameters, and one with float32 parameters of the same values.
class LowNetwork : public ::testing::Test {
 protected:
  static constexpr std::int64_t kImages = 7;

  void SetUp() override {
    low_.initialise(5, onepass::initializers::KaimingNormal{});
    wide_.write(low_.read());
    const Images images = testing::made_up_images(kImages, 16, 9);
    const DeviceImages uploaded = upload(*backend_, images, normalise(images));
    std::vector<std::int32_t> order(kImages);
    std::iota(order.begin(), order.end(), 0);
    for (Network* network : {&low_, &wide_}) {
      backend_->gather(uploaded, order.data(), network->input(kImages), network->labels());
    }
  }
  [[nodiscard]] static Shape shape(DType dtype) {
    return {.widths = {16, 9, 8, kClasses}, .max_rows = kImages, .dtype = dtype};
  }

  std::unique_ptr<Backend> backend_ = make_cpu_backend(1);
  Network low_{*backend_, shape(DType::bfloat16)};
  Network wide_{*backend_, shape(DType::float32)};
};

TEST_F(LowNetwork, LossIsComputedInFloat32AndGradientsAreRounded) {
  double low_loss = 0.0, wide_loss = 0.0;
  low_.forward(Part{.rows = kImages});
  low_.backward({.rows = kImages}, &low_loss);
  wide_.forward(Part{.rows = kImages});
  wide_.backward({.rows = kImages}, &wide_loss);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(low_loss), std::bit_cast<std::uint64_t>(wide_loss));
  const std::vector<onepass::Parameter> low = low_.parameters();
  const std::vector<onepass::Parameter> wide = wide_.parameters();
  for (std::size_t i = 0; i < low.size(); ++i) {
    const auto* rounded = static_cast<const std::uint16_t*>(low[i].grad.data);
    const auto* exact = static_cast<const float*>(wide[i].grad.data);
    for (std::int64_t j = 0; j < low[i].grad.numel; ++j) {
      ASSERT_EQ(rounded[j], BFloat16::encode(exact[j])) << low[i].name << " " << j;
    }
  }
}

TEST_F(LowNetwork, CountsZerosAndRoundsWrittenValuesToBfloat16) {
  std::vector<NamedValues> values = low_.read();
  const Zeros before = low_.count_zero_weights();
  values[0].values[3] = 0.0f;
  values[1].values[2] = 1.0f + 0x1p-7f;  // a bfloat16
  values[1].values[3] = 1.0f + 0x1p-8f;  // a tie, rounds to even
  low_.write(values);
  EXPECT_EQ(low_.count_zero_weights().zero, before.zero + 1);
  EXPECT_EQ(before.all, 16 * 9 + 9 * 8 + 8 * kClasses);
  EXPECT_EQ(low_.read()[1].values[2], 1.0f + 0x1p-7f);
  EXPECT_EQ(low_.read()[1].values[3], 1.0f);
}

class Precision : public TrainerTest {};

/// The weights are about 0.3, where the last place of a bfloat16 is 2e-3, and a step changes a weight by at
/// most 1e-4. The other precisions lower the loss as float32 does within 0.2 %. If 8-bit states were rounded
/// to nearest, compact would differ by 5.6 %.
TEST_F(Precision, OnlyRoundingToNearestLosesSmallSteps) {
  const auto gain = [&](const Kept& kept) {
    Settings settings = kept_as(kept, config("adam"));
    settings.lr = 1e-4;
    Trainer trainer = make(settings);
    const double untrained = trainer.test().loss;
    trainer.run(1500);
    return untrained - trainer.test().loss;
  };
  const double whole = gain(kFloat32);
  EXPECT_LT(gain(kNearest), 0.5 * whole);
  for (const Kept& kept : {kStochastic, kMaster, kSplit, kCompact}) {
    EXPECT_NEAR(gain(kept), whole, 0.03 * whole) << kept.name;
  }
}

TEST_F(Precision, TheSeedOfStochasticRoundingIsSavedWithTheRun) {
  const auto run = [&](const Kept& kept) {
    Settings settings = kept_as(kept, config("adamw"));
    settings.seed = 9;
    Trainer trainer = make(settings);
    trainer.run(5);
    return trainer.checkpoint();
  };
  EXPECT_EQ(run(kStochastic).optimizer.seed, 9u);
  EXPECT_EQ(testing::through_a_file(run(kStochastic)).optimizer.seed, 9u);
  EXPECT_EQ(file_of(run(kStochastic)), file_of(run(kStochastic)));
  EXPECT_NE(testing::bits(run(kStochastic)), testing::bits(run(kNearest)));
}

TEST_F(Precision, StochasticRoundingIsRefusedExceptForBf16) {
  for (const char* precision : {"f32", "bf16-master", "bf16-split", "compact"}) {
    Settings settings = config("adamw");
    settings.precision = precision;
    settings.rounding = onepass::Rounding::stochastic;
    EXPECT_EQ(sentence<UsageError>([&] { make(settings); }),
              std::string("--rounding stochastic needs --precision bf16, where steps round the parameters "
                          "themselves, but --precision is ") +
                  precision);
  }
}

TEST_F(Precision, RestoringRefusesAnotherPrecisionOrRounding) {
  const Checkpoint saved = make(kept_as(kNearest, config("adamw"))).checkpoint();
  EXPECT_EQ(sentence<UsageError>([&] { make(kept_as(kCompact, config("adamw"))).restore(saved); }),
            "the saved run had --precision bf16, but this one has compact");
  EXPECT_EQ(sentence<UsageError>([&] { make(kept_as(kStochastic, config("adamw"))).restore(saved); }),
            "the saved run had --rounding nearest, but this one has stochastic");
}

}  // namespace
}  // namespace train
