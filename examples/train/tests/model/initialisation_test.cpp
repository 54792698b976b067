// initialisation_test.cpp - the table of initialisations, and the weights that the network draws from it.
#include "model/initialisation.hpp"

#include <cmath>

#include "model/network.hpp"
#include "tests/support.hpp"

namespace train {
namespace {

constexpr std::int64_t kInputs = 400;
constexpr std::int64_t kHidden = 100;

class InitialisationTest : public ::testing::TestWithParam<Initialisation> {
 protected:
  /// Returns the initial values of a network's tensors.
  std::vector<NamedValues> draw(Activation activation, std::uint64_t seed) {
    Network network(*backend_, {.widths = {kInputs, kHidden, kHidden, kClasses}, .activation = activation});
    network.initialise(seed, GetParam().make(activation));
    return network.read();
  }
  std::unique_ptr<Backend> backend_ = make_cpu_backend(1);
};

}  // namespace

void PrintTo(const Initialisation& init, std::ostream* out) { *out << init.name; }

namespace {

INSTANTIATE_TEST_SUITE_P(Table, InitialisationTest,
                         ::testing::ValuesIn(initialisations().begin(), initialisations().end()),
                         [](const auto& info) {
                           std::string name(info.param.name);
                           std::erase(name, '-');
                           return name;
                         });

double variance_of(const std::string& name) {
  const double inputs = kInputs;
  const double outputs = kHidden;
  if (name.starts_with("he")) return 2.0 / inputs;
  if (name.starts_with("xavier")) return 2.0 / (inputs + outputs);
  if (name.starts_with("lecun")) return 1.0 / inputs;
  if (name == "orthogonal")
    return 2.0 / inputs;  // for relu: each of the 100 rows of 400 numbers has the norm sqrt 2
  return 1e-4;
}

TEST_P(InitialisationTest, WeightsHaveMeanZeroAndTheDocumentedVariance) {
  const std::vector<NamedValues> values = draw(Activation::relu, 1);
  double sum = 0.0;
  double squares = 0.0;
  for (const float value : values[0].values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const auto count = static_cast<double>(values[0].values.size());
  const double variance = variance_of(std::string(GetParam().name));
  // The tolerances are five standard errors for 40,000 numbers: 5 / 200 standard deviations for the mean and
  // 5 sqrt(2) / 200 of the variance.
  EXPECT_NEAR(sum / count, 0.0, 0.025 * std::sqrt(variance));
  EXPECT_NEAR(squares / count, variance, 0.036 * variance);
}

TEST_P(InitialisationTest, OnepassDrawsTheWeightsTheLastLayerHasATenthAndBiasesAreZero) {
  const std::vector<NamedValues> values = draw(Activation::tanh, 7);
  const std::vector<std::vector<std::int64_t>> shapes{
      {kHidden, kInputs}, {kHidden, kHidden}, {kClasses, kHidden}};
  for (std::uint32_t layer = 0; layer < 3; ++layer) {
    std::vector<float> expected(values[2 * layer].values.size());
    onepass::initialize(expected, shapes[layer], GetParam().make(Activation::tanh),
                        {.seed = 7, .tensor = layer});
    if (layer == 2) {
      for (float& value : expected) value *= 0.1f;
    }
    EXPECT_EQ(values[2 * layer].values, expected) << layer;
    for (const float bias : values[2 * layer + 1].values) EXPECT_EQ(bias, 0.0f);
  }
}

TEST_P(InitialisationTest, WeightsDependOnTheSeed) {
  EXPECT_NE(draw(Activation::relu, 1)[0].values, draw(Activation::relu, 2)[0].values);
}

TEST(Initialisation, OrthogonalUsesTheGainOfTheActivation) {
  const auto gain = [](Activation activation) {
    const onepass::Initializer made = find_initialisation("orthogonal")->make(activation);
    return std::get<onepass::initializers::Orthogonal>(made).gain;
  };
  EXPECT_DOUBLE_EQ(gain(Activation::relu), std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(gain(Activation::tanh), 5.0 / 3.0);
  EXPECT_DOUBLE_EQ(gain(Activation::sigmoid), 1.0);
}

}  // namespace
}  // namespace train
