// long_averages_test.cpp - how far averages in 8 bits lie from those in float32, and the refusal of averages
// that are too long for 8 bits.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/formats/format_state.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr Storage kEightBits{.states = States::quantized8};

/// Two equal float32 parameters, one with states in 8 bits, under the same gradients: normal numbers, times a
/// factor for each element whose logarithm is normal with standard deviation `spread`.
class Twins {
 public:
  Twins(const Adam& rule, double spread)
      : value_(2, std::vector<float>(kCount)),
        grad_(kCount),
        narrow_{rule, std::vector{parameter(0)}, {.float32_storage = kEightBits, .seed = 3}},
        wide_{rule, std::vector{parameter(1)}} {
    for (std::size_t i = 0; i < kCount; ++i) factor_.push_back(std::exp(spread * normal_(random_)));
  }
  void step(int count) {
    for (int i = 0; i < count; ++i) {
      for (std::size_t e = 0; e < kCount; ++e) grad_[e] = static_cast<float>(factor_[e] * normal_(random_));
      narrow_.step();
      wide_.step();
    }
  }
  /// The root of the mean square of the error of a state, in units of the element's own scale.
  [[nodiscard]] double error(const char* state, bool is_square) const {
    const std::vector<float> narrow =
        decoded_state(state_of(narrow_.state_dict().parameters[0], state), kCount);
    const std::vector<float> wide = decoded_state(state_of(wide_.state_dict().parameters[0], state), kCount);
    double sum = 0.0, scale = 0.0;
    for (std::size_t i = 0; i < kCount; ++i) {
      const double unit = is_square ? factor_[i] * factor_[i] : factor_[i];
      const double off = (static_cast<double>(narrow[i]) - static_cast<double>(wide[i])) / unit;
      const double exact = static_cast<double>(wide[i]) / unit;
      sum += off * off, scale += exact * exact;
    }
    return std::sqrt(sum / scale);
  }

 private:
  static constexpr std::size_t kCount = 4096;

  Parameter parameter(std::size_t i) { return {.name = "w", .value = value_[i], .grad = grad_}; }

  std::vector<std::vector<float>> value_;
  std::vector<float> grad_;
  std::vector<double> factor_;
  std::mt19937_64 random_{7};
  std::normal_distribution<double> normal_;
  Optimizer narrow_, wide_;
};

/// The error of both moments after five times their memory.
struct Errors {
  double signed_state, square;
};
Errors errors_of(double beta1, double beta2, double spread) {
  Twins twins(Adam{.lr = 1e-9, .beta1 = beta1, .beta2 = beta2}, spread);
  twins.step(static_cast<int>(5.0 / (1.0 - std::max(beta1, beta2))));
  return {twins.error("exp_avg", false), twins.error("exp_avg_sq", true)};
}

// docs/storage.md has these errors. Where the elements of a block have one size, a signed number of a block
// is off by one dithered code of about 1 / 64 of itself in each step, and sqrt(1 / (1 - 0.99^2)) = 7 of them
// add up.
TEST(LongAverages, OfEightBitsAreOffByATenthAtMostWhereBlocksAreEven) {
  const Errors even = errors_of(0.99, 0.999, 0.0);
  RecordProperty("signed_even", std::to_string(even.signed_state));
  RecordProperty("square_even", std::to_string(even.square));
  EXPECT_LT(even.signed_state, 0.1);
  EXPECT_LT(even.square, 0.1);
}

TEST(LongAverages, OfEightBitsAreOffByMoreWhereSmallElementsStandBesideLargeOnes) {
  const Errors uneven = errors_of(0.99, 0.999, 1.0);
  RecordProperty("signed_uneven", std::to_string(uneven.signed_state));
  RecordProperty("square_uneven", std::to_string(uneven.square));
  EXPECT_LT(uneven.signed_state, 0.3);
  EXPECT_LT(uneven.square, 0.8);
}

class TooLong : public testing::Test {
 protected:
  std::vector<float> value_ = std::vector<float>(64), grad_ = std::vector<float>(64);

  Parameter parameter(const char* name, const Storage& storage) {
    return {.name = name, .value = value_, .grad = grad_, .storage = storage};
  }
};

TEST_F(TooLong, AveragesAreRefusedWithTheirParameterAndItsHyperparameter) {
  const std::vector eight{parameter("w", kEightBits)};
  EXPECT_TRUE(refused([&] { Optimizer(Adam{.beta1 = 0.995}, eight); },
                      {"\"w\" asks for states in 8 bits", "exp_avg up to beta1 = 0.99",
                       "Adam has beta1 = 0.995", "bfloat16 with Rounding::stochastic"}));
  EXPECT_TRUE(refused([&] { Optimizer(AdamW{.beta2 = 0.9999}, eight); },
                      {"exp_avg_sq up to beta2 = 0.999", "AdamW has beta2 = 0.9999"}));
  EXPECT_TRUE(refused([&] { Optimizer(SGD{.momentum = 0.995}, eight); },
                      {"momentum_buffer up to momentum = 0.99", "SGD has momentum = 0.995"}));
  EXPECT_TRUE(
      refused([&] { Optimizer(RMSProp{.alpha = 0.9999}, eight); }, {"square_avg up to alpha = 0.999"}));
}

TEST_F(TooLong, AveragesAreTakenInBFloat16AndFloat32AndByOtherGroups) {
  Optimizer(Adam{.beta1 = 0.999, .beta2 = 0.9999}, std::vector{parameter("w", {})});
  Optimizer(Adam{.beta1 = 0.999}, std::vector{parameter("w", {.states = States::bfloat16})});
  std::vector<float> other(64);
  Parameter second = parameter("v", kEightBits);
  second.value = other;
  second.group = 1;
  Optimizer({Adam{.beta1 = 0.999}, Adam{}}, std::vector{parameter("w", {}), second});
}

TEST_F(TooLong, HyperparametersAreRefusedAlsoWhenTheyAreSetOrLoaded) {
  Optimizer optimizer{Adam{}, std::vector{parameter("w", kEightBits)}};
  EXPECT_TRUE(refused([&] { optimizer.set_rule(Adam{.beta1 = 0.995}); }, {"\"w\"", "beta1 = 0.995"}));
  StateDict dict = optimizer.state_dict();
  for (SavedHyperparameter& one : dict.groups[0].hyperparameters) {
    if (one.name == "beta1") one.value = "0.995";
  }
  EXPECT_TRUE(refused([&] { optimizer.load_state_dict(dict); }, {"\"w\"", "beta1 = 0.995"}));
  EXPECT_EQ(optimizer.rule<Adam>().beta1, 0.9);
}

}  // namespace
}  // namespace onepass::test
