// network_test.cpp - compares the network's loss and gradients with a float64 network of plain loops.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "model/initialisation.hpp"
#include "model/network.hpp"
#include "tests/support.hpp"

namespace train {
namespace {

constexpr std::int64_t kImages = 7;
const std::vector<std::int64_t> kWidths{16, 9, 8, kClasses};

using Tensors = std::vector<std::vector<double>>;

double reference_activation(Activation activation, double x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return 1.0 / (1.0 + std::exp(-x));
  }
  return NAN;
}

/// A float64 network, written from the formula.
struct Reference {
  Activation activation;
  Tensors tensors;     ///< Weight and bias of each layer.
  Tensors masks = {};  ///< Dropout's factors of the hidden layers' outputs; empty for 1.
};

double reference_loss(const Reference& network, const Images& images, Normalisation normalisation) {
  const Tensors& tensors = network.tensors;
  double loss = 0.0;
  for (std::int64_t image = 0; image < images.count; ++image) {
    std::vector<double> x;
    for (std::int64_t i = 0; i < images.size; ++i) {
      const double pixel = images.pixels[static_cast<std::size_t>(image * images.size + i)];
      x.push_back(static_cast<double>(normalisation.scale) * pixel +
                  static_cast<double>(normalisation.shift));
    }
    for (std::size_t layer = 0; layer < tensors.size() / 2; ++layer) {
      std::vector<double> y = tensors[2 * layer + 1];
      for (std::size_t out = 0; out < y.size(); ++out) {
        for (std::size_t in = 0; in < x.size(); ++in)
          y[out] += tensors[2 * layer][out * x.size() + in] * x[in];
        if (2 * layer + 2 == tensors.size()) continue;
        y[out] = reference_activation(network.activation, y[out]);
        const std::size_t element = static_cast<std::size_t>(image) * y.size() + out;
        if (!network.masks.empty()) y[out] *= network.masks[layer][element];
      }
      x = y;
    }
    double sum = 0.0;
    for (const double logit : x) sum += std::exp(logit);
    loss += std::log(sum) - x[images.labels[static_cast<std::size_t>(image)]];
  }
  return loss / static_cast<double>(images.count);
}

/// Compares every gradient of a network with the slope of the reference's loss, computed by central
/// differences in float64. Their truncation error is h^2 / 6 times the third derivative (about 1), 2e-10;
/// their rounding error is 1e-16 / h, 3e-12. With these images no ReLU lies within h of its kink (seed 5). So
/// the tolerance is that of the float32 gradients: chains of three sums of at most 17 terms of size about 1,
/// 3 * 17 * 2^-24 = 3e-6, and some more.
void expect_slopes(const Network& network, const Reference& reference,
                   const std::function<double(const Reference&)>& loss) {
  constexpr double kStep = 3e-5;
  std::size_t tensor = 0;
  for (const onepass::Parameter& parameter : network.parameters()) {
    const float* grad = static_cast<const float*>(parameter.grad.data);
    double largest = 0.0;
    for (std::size_t i = 0; i < reference.tensors[tensor].size(); ++i) {
      Reference moved = reference;
      moved.tensors[tensor][i] += kStep;
      const double above = loss(moved);
      moved.tensors[tensor][i] -= 2 * kStep;
      const double slope = (above - loss(moved)) / (2 * kStep);
      ASSERT_NEAR(grad[i], slope, 1e-5) << parameter.name << "[" << i << "]";
      largest = std::max(largest, std::abs(slope));
    }
    EXPECT_GT(largest, 1e-3) << parameter.name << ": a gradient of zeros would prove nothing";
    ++tensor;
  }
}

/// A network after a forward pass over made-up images.
class NetworkTest : public ::testing::TestWithParam<Activation> {
 protected:
  void SetUp() override {
    network_.initialise(3, onepass::initializers::Zeros{});
    // Biases other than 0 and a last layer of full size, so that no gradient is small by construction.
    std::vector<NamedValues> values = network_.read();
    Random random(5, 0);
    for (NamedValues& tensor : values) {
      for (float& value : tensor.values) value = static_cast<float>(testing::uniform(random) - 0.5);
    }
    network_.write(values);
    for (const NamedValues& tensor : values)
      reference_.tensors.emplace_back(tensor.values.begin(), tensor.values.end());

    std::vector<std::int32_t> order(kImages);
    std::iota(order.begin(), order.end(), 0);
    backend_->gather(device_images_, order.data(), network_.input(kImages), network_.labels());
    network_.forward(Part{.rows = kImages});
  }

  const Images images_ = testing::made_up_images(kImages, kWidths.front(), 9);
  const Normalisation normalisation_ = normalise(images_);
  std::unique_ptr<Backend> backend_ = make_cpu_backend(1);
  DeviceImages device_images_ = upload(*backend_, images_, normalisation_);
  Network network_{*backend_, {.widths = kWidths, .activation = GetParam(), .max_rows = kImages}};
  Reference reference_{GetParam(), {}};
};

INSTANTIATE_TEST_SUITE_P(
    Activations, NetworkTest, ::testing::Values(Activation::relu, Activation::tanh, Activation::sigmoid),
    [](const auto& info) {
      return std::string(std::ranges::find(kActivations, info.param, &ActivationKind::activation)->name);
    });

TEST_P(NetworkTest, LossMatchesTheFormula) {
  double loss = 0.0;
  network_.backward({.rows = kImages}, &loss);
  // Each logit is a chain of three sums of at most 17 terms of size about 1: an error of 3 * 17 * 2^-24 =
  // 3e-6, and some more for exp and log.
  EXPECT_NEAR(loss, reference_loss(reference_, images_, normalisation_), 1e-5);
}

TEST_P(NetworkTest, EveryGradientIsTheSlopeOfTheLoss) {
  double loss = 0.0;
  network_.backward({.rows = kImages}, &loss);
  expect_slopes(network_, reference_, [&](const Reference& reference) {
    return reference_loss(reference, images_, normalisation_);
  });
}

/// The network of NetworkTest with dropout, and the masks that onepass draws for its first step.
class DropoutNetworkTest : public NetworkTest {
 protected:
  static constexpr double kDrop = 0.25;

  void SetUp() override {
    NetworkTest::SetUp();
    dropping_.initialise(kSeed, onepass::initializers::Zeros{});
    dropping_.write(network_.read());
    std::vector<std::int32_t> order(kImages);
    std::iota(order.begin(), order.end(), 0);
    backend_->gather(device_images_, order.data(), dropping_.input(kImages), dropping_.labels());
    const onepass::RandomState random(onepass::Device::cpu(), {.seed = kSeed});
    for (std::uint32_t layer = 0; layer < 2; ++layer) {
      std::vector<float> ones(static_cast<std::size_t>(kImages * kWidths[layer + 1]), 1.0f);
      onepass::dropout_forward({.p = kDrop}, {.out = ones, .in = ones, .site = layer}, random);
      reference_.masks.emplace_back(ones.begin(), ones.end());
    }
  }

  static constexpr std::uint64_t kSeed = 11;
  Network dropping_{*backend_,
                    {.widths = kWidths, .activation = GetParam(), .dropout = kDrop, .max_rows = kImages}};
};

INSTANTIATE_TEST_SUITE_P(Activations, DropoutNetworkTest,
                         ::testing::Values(Activation::relu, Activation::tanh, Activation::sigmoid));

TEST_P(DropoutNetworkTest, EveryGradientIsTheSlopeOfTheLossWithTheMasks) {
  for (const std::vector<double>& mask : reference_.masks) {
    EXPECT_GT(std::ranges::count(mask, 0.0), 0);
    EXPECT_GT(std::ranges::count(mask, static_cast<double>(static_cast<float>(1.0 / 0.75))), 0);
  }
  double loss = 0.0;
  dropping_.forward(Part{.rows = kImages});
  dropping_.backward({.rows = kImages}, &loss);
  EXPECT_NEAR(loss, reference_loss(reference_, images_, normalisation_), 1e-5);
  expect_slopes(dropping_, reference_, [&](const Reference& reference) {
    return reference_loss(reference, images_, normalisation_);
  });
}

TEST_P(DropoutNetworkTest, ALaterPartUsesTheMasksOfItsPlaceInTheStep) {
  const Matrix whole = dropping_.forward(Part{.rows = kImages});
  const std::vector<float> expected(whole.data + 4 * kClasses, whole.data + 7 * kClasses);
  std::vector<std::int32_t> order{4, 5, 6};
  backend_->gather(device_images_, order.data(), dropping_.input(3), dropping_.labels());
  const Matrix part = dropping_.forward(Part{.rows = 3, .first = 4});
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(part.data[i], expected[i], 1e-5) << i;
}

TEST_P(DropoutNetworkTest, ForwardOutsideOfTrainingDropsNothing) {
  const Matrix plain = network_.forward(kImages);
  const Matrix tested = dropping_.forward(kImages);
  EXPECT_TRUE(std::equal(plain.data, plain.data + kImages * kClasses, tested.data));
  const Matrix trained = dropping_.forward(Part{.rows = kImages});
  EXPECT_FALSE(std::equal(plain.data, plain.data + kImages * kClasses, trained.data));
}

TEST_P(DropoutNetworkTest, AdvancingDrawsNewMasksAndRestoringBringsBackTheOldOnes) {
  const auto logits = [&] {
    const Matrix out = dropping_.forward(Part{.rows = kImages});
    return std::vector<float>(out.data, out.data + kImages * kClasses);
  };
  const std::vector<float> first = logits();
  EXPECT_EQ(logits(), first);
  const onepass::RandomPosition position = dropping_.random();
  EXPECT_EQ(position.seed, kSeed);
  dropping_.advance();
  EXPECT_NE(logits(), first);
  EXPECT_EQ(dropping_.random().offset, position.offset + 1);
  dropping_.restore(position);
  EXPECT_EQ(logits(), first);
}

TEST_P(NetworkTest, AShareMultipliesEveryGradient) {
  double loss = 0.0;
  network_.backward({.rows = kImages}, &loss);
  std::vector<float> whole;
  for (const onepass::Parameter& parameter : network_.parameters()) {
    const float* grad = static_cast<const float*>(parameter.grad.data);
    whole.insert(whole.end(), grad, grad + parameter.grad.numel);
  }
  network_.forward(Part{.rows = kImages});
  network_.backward({.rows = kImages, .share = 0.25}, &loss);  // a power of two, so the product is exact
  std::size_t i = 0;
  for (const onepass::Parameter& parameter : network_.parameters()) {
    const float* grad = static_cast<const float*>(parameter.grad.data);
    for (std::int64_t j = 0; j < parameter.grad.numel; ++j) ASSERT_EQ(grad[j], 0.25f * whole[i++]);
  }
}

TEST_P(NetworkTest, BackwardOfFewerRowsUsesOnlyThoseRows) {
  double whole = 0.0;
  network_.backward({.rows = kImages}, &whole);
  network_.forward(Part{.rows = 2});
  double part = 0.0;
  network_.backward({.rows = 2}, &part);
  Images two = images_;
  two.count = 2;
  EXPECT_NEAR(part, reference_loss(reference_, two, normalisation_), 1e-5);
}

TEST_P(NetworkTest, ScoreCountsTheRowsWhoseLabelHasTheLargestLogit) {
  const Matrix logits = network_.forward(kImages);
  std::int64_t expected = 0;
  for (std::int64_t row = 0; row < kImages; ++row) {
    const float* z = logits.data + row * logits.columns;
    expected += std::max_element(z, z + logits.columns) - z == network_.labels()[row] ? 1 : 0;
  }
  double loss = 0.0;
  std::int64_t correct = -1;
  network_.score(kImages, &loss, &correct);
  EXPECT_EQ(correct, expected);
  EXPECT_NEAR(loss, reference_loss(reference_, images_, normalisation_), 1e-5);
}

TEST_P(NetworkTest, ANaNReachesTheLoss) {
  std::vector<NamedValues> values = network_.read();
  values[0].values[0] = NAN;
  network_.write(values);
  network_.forward(kImages);
  double loss = 0.0;
  network_.backward({.rows = kImages}, &loss);
  EXPECT_TRUE(std::isnan(loss));
}

TEST_P(NetworkTest, InitialWeightsStayWithinHesBoundAndFillIt) {
  network_.initialise(1, find_initialisation("he-uniform")->make(GetParam()));
  const std::vector<NamedValues> values = network_.read();
  const double bound = std::sqrt(6.0 / 16.0);
  const auto [low, high] = std::minmax_element(values[0].values.begin(), values[0].values.end());
  EXPECT_GE(*low, -bound);
  EXPECT_LE(*high, bound);
  EXPECT_LT(*low, -0.8 * bound);
  EXPECT_GT(*high, 0.8 * bound);
  EXPECT_EQ(values[1].values, std::vector<float>(9, 0.0f));
}

TEST_P(NetworkTest, CountZeroWeightsCountsWeightsButNoBiases) {
  std::vector<NamedValues> values = network_.read();
  values[0].values[3] = 0.0f;
  values[4].values[0] = -0.0f;
  values[4].values[1] = 1e-45f;
  values[1].values[0] = 0.0f;
  network_.write(values);
  const Zeros zeros = network_.count_zero_weights();
  EXPECT_EQ(zeros.zero, 2);
  EXPECT_EQ(zeros.all, 16 * 9 + 9 * 8 + 8 * kClasses);
}

TEST_P(NetworkTest, WriteRefusesTensorsOfAnotherNetwork) {
  Network other(*backend_, {.widths = {16, 9, kClasses}});
  const std::string text = testing::sentence<Failure>([&] { network_.write(other.read()); });
  EXPECT_EQ(text, "4 tensors were saved, but the network has 6");
}

}  // namespace
}  // namespace train
