// decay_share_test.cpp - decoupled weight decay takes from a parameter what it takes in float64, at every
// rate, where the gradients are not 0.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <span>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"

namespace onepass::test {
namespace {

constexpr int kSteps = 20000;
constexpr std::size_t kCount = 4096;
double normal(std::uint64_t key) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform(2 * key)));
  return radius * std::cos(2.0 * std::numbers::pi * uniform(2 * key + 1));
}

/// Normally distributed first values, rounded to bfloat16, and gradients.
class Data {
 public:
  std::vector<float> start;

  Data() : start(kCount), numbers_(kNumbers + kCount) {
    for (std::size_t i = 0; i < numbers_.size(); ++i) numbers_[i] = static_cast<float>(normal(i));
    for (std::size_t i = 0; i < kCount; ++i) {
      const auto x = static_cast<float>(normal(numbers_.size() + i));
      start[i] = storage::BFloat16::decode(storage::BFloat16::encode(x));
    }
  }
  /// The gradients of a step: a part of the same numbers, which begins at another place in each step, so that
  /// no element sees a number often.
  [[nodiscard]] std::span<float> gradient(int step) {
    const std::uint64_t first = mix(static_cast<std::uint64_t>(step)) % (kNumbers / 16) * 16;
    return std::span(numbers_).subspan(first, kCount);
  }

 private:
  static constexpr std::size_t kNumbers = std::size_t{1} << 20;

  std::vector<float> numbers_;
};

/// What the parameters have lost by the decay: their distance to those of the same run without decay.
std::vector<double> lost(const std::vector<double>& without, const std::vector<double>& with) {
  std::vector<double> difference(kCount);
  for (std::size_t i = 0; i < kCount; ++i) difference[i] = without[i] - with[i];
  return difference;
}

std::vector<double> run_in_float64(Data& data, double lr, double decay) {
  std::vector<double> p(data.start.begin(), data.start.end());
  for (int t = 0; t < kSteps; ++t) {
    const std::span<const float> gradient = data.gradient(t);
    for (std::size_t i = 0; i < kCount; ++i) p[i] -= decay * p[i] + lr * double{gradient[i]};
  }
  return p;
}

std::vector<double> run_in(const FormatCase& format, Data& data, double lr, double decay) {
  const FormatBuffer value(Device::cpu(), format.param, static_cast<std::int64_t>(kCount), 0);
  value.write(data.start);
  const SGD rule{.lr = lr, .weight_decay = decay / lr, .weight_decay_mode = WeightDecay::decoupled};
  Optimizer optimizer(
      rule, std::vector<Parameter>{{.name = "w", .value = value.tensor(), .grad = data.gradient(0)}},
      {.threads = 1, .storage = format.low(), .float32_storage = format.wide(), .seed = 9});
  for (int t = 0; t < kSteps; ++t) {
    const Tensor gradient = data.gradient(t);
    optimizer.set_gradients(std::span(&gradient, 1));
    optimizer.step();
  }
  const std::vector<float> end = decoded_param(format, value, optimizer.state_dict().parameters[0]);
  return {end.begin(), end.end()};
}

/// The share of the decay in float64 that took effect, over all elements.
double share(const std::vector<double>& actual, const std::vector<double>& wanted) {
  double along = 0, all = 0;
  for (std::size_t i = 0; i < kCount; ++i) along += actual[i] * wanted[i], all += wanted[i] * wanted[i];
  return along / all;
}

/// A bound of the standard error of share() in compact: two runs round each step, with a variance of at most
/// 1/4 of the unit squared.
double standard_error(const Data& data, const std::vector<double>& wanted) {
  double variance = 0, all = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const double unit = std::exp2(std::floor(std::log2(std::fabs(data.start[i]) + 1e-3)) - 15);
    variance += wanted[i] * wanted[i] * 0.5 * kSteps * unit * unit, all += wanted[i] * wanted[i];
  }
  return std::sqrt(variance) / all;
}

TEST(DecayShare, IsThatOfFloat64AtEveryRate) {
  Data data;
  // Steps of about 1e-5 of a parameter, so that a sum of them stays small beside it.
  constexpr double kLr = 1e-5;
  const std::vector<double> free = run_in_float64(data, kLr, 0.0);
  for (const double decay : {1e-8, 1e-7, 2e-7, 3e-5, 1e-3, 1e-1}) {
    const std::vector<double> wanted = lost(run_in_float64(data, kLr, 0.0), run_in_float64(data, kLr, decay));
    for (const char* const name : {"float32", "bf16_master_grad32", "bf16_split_grad32", "compact_grad32"}) {
      SCOPED_TRACE(testing::Message() << name << ", lr * weight_decay " << decay);
      const FormatCase& format = format_case(name);
      const double actual =
          share(lost(run_in(format, data, kLr, 0.0), run_in(format, data, kLr, decay)), wanted);
      const bool exact = format.storage.master != Master::remainder8;
      EXPECT_NEAR(actual, 1.0, 0.01 + (exact ? 0.0 : 4 * standard_error(data, wanted)));
    }
  }
}

}  // namespace
}  // namespace onepass::test
