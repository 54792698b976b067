// random_test.cpp - initial values and dropout have the bits of the library's.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"

namespace onepass::test {
namespace {

namespace in = initializers;
using Settings = std::vector<onepass_setting>;
using RandomHandle = Owner<onepass_random, onepass_random_destroy>;

const std::vector<std::int64_t> kShape{6, 4, 3};

int initialize_c(std::vector<float>& values, const char* name, const Settings& settings,
                 const onepass_random_key& key, const std::vector<std::int64_t>& shape = kShape) {
  const onepass_tensor tensor{sizeof tensor, ONEPASS_FLOAT32, values.data(),
                              static_cast<std::int64_t>(values.size())};
  return onepass_initialize(&tensor, ONEPASS_CPU, shape.data(), static_cast<std::int64_t>(shape.size()), name,
                            settings.data(), static_cast<std::int64_t>(settings.size()), &key, nullptr);
}

void expect_values(const char* name, const Settings& settings, const Initializer& expected,
                   const std::vector<std::int64_t>& shape = kShape) {
  SCOPED_TRACE(name);
  std::int64_t numel = 1;
  for (const std::int64_t dim : shape) numel *= dim;
  std::vector<float> values(static_cast<std::size_t>(numel), -7.0f), own = values;
  expect_ok(initialize_c(values, name, settings,
                         {.size = sizeof(onepass_random_key), .tensor = 3, .seed = 11}, shape));
  onepass::initialize(own, std::span<const std::int64_t>(shape), expected, {.seed = 11, .tensor = 3});
  EXPECT_EQ(values, own);
}

TEST(CRandom, EveryInitializerHasTheBitsOfTheLibrary) {
  expect_values("Constant", {{"value", 0.25, nullptr}}, in::Constant{0.25});
  expect_values("Zeros", {}, in::Zeros{});
  expect_values("Ones", {}, in::Ones{});
  expect_values("Uniform", {{"low", -1, nullptr}, {"high", 3, nullptr}}, in::Uniform{-1, 3});
  expect_values("Normal", {{"mean", 2, nullptr}, {"std", 0.5, nullptr}}, in::Normal{2, 0.5});
  expect_values("XavierUniform", {{"gain", 2, nullptr}}, in::XavierUniform{2});
  expect_values("XavierNormal", {{"gain", 2, nullptr}}, in::XavierNormal{2});
  const Settings kaiming{{"a", 0.2, nullptr}, {"mode", 0, "fan_avg"}, {"nonlinearity", 0, "tanh"}};
  expect_values(
      "KaimingUniform", kaiming,
      in::KaimingUniform{.a = 0.2, .mode = in::FanMode::fan_avg, .nonlinearity = in::Nonlinearity::tanh});
  expect_values("KaimingNormal", {{"a", 0.2, nullptr}, {"mode", 1, nullptr}},
                in::KaimingNormal{.a = 0.2, .mode = in::FanMode::fan_out});
  expect_values("LecunUniform", {}, in::LecunUniform{});
  expect_values("LecunNormal", {}, in::LecunNormal{});
  expect_values("TruncatedNormal",
                {{"mean", 1, nullptr}, {"std", 2, nullptr}, {"a", -1, nullptr}, {"b", 2, nullptr}},
                in::TruncatedNormal{1, 2, -1, 2});
  expect_values("VariancePreservingTruncatedNormal", {{"std", 2, nullptr}},
                in::VariancePreservingTruncatedNormal{.std = 2});
  expect_values("Orthogonal", {{"gain", 3, nullptr}}, in::Orthogonal{3});
  expect_values("Eye", {}, in::Eye{}, {5, 7});
  expect_values("Dirac", {{"groups", 2, nullptr}}, in::Dirac{2});
}

TEST(CRandom, AShardDrawsTheValuesOfTheWholeTensor) {
  std::vector<float> whole(72), part(20);
  expect_ok(initialize_c(whole, "Normal", {}, {.size = sizeof(onepass_random_key), .seed = 5}));
  expect_ok(initialize_c(part, "Normal", {},
                         {.size = sizeof(onepass_random_key), .seed = 5, .first = 31, .is_shard = 1}));
  EXPECT_EQ(part, std::vector<float>(whole.begin() + 31, whole.begin() + 51));
}

TEST(CRandom, InitializersRefuseWhatTheyCannotUse) {
  std::vector<float> values(72, 1.0f);
  const onepass_random_key key{.size = sizeof key};
  EXPECT_NE(refusal(initialize_c(values, "Gaussian", {}, key))
                .find("there is no initializer \"Gaussian\"; there are: "
                      "Constant, Zeros"),
            std::string::npos);
  EXPECT_EQ(refusal(initialize_c(values, "Zeros", {{"gain", 1, nullptr}}, key)),
            "onepass: Zeros has no member \"gain\"; it has none");
  EXPECT_NE(refusal(initialize_c(values, "Normal", {{"std", -1, nullptr}}, key)), "");
  EXPECT_EQ(
      refusal(onepass_initialize(nullptr, ONEPASS_CPU, kShape.data(), 3, "Zeros", nullptr, 0, &key, nullptr)),
      "onepass: onepass_tensor is null");
  EXPECT_EQ(values, std::vector<float>(72, 1.0f));
}

TEST(CRandom, GainsAndFansAreThoseOfTheLibrary) {
  double gain = 0.0;
  const double slope = 0.3;
  expect_ok(onepass_calculate_gain("leaky_relu", &slope, &gain));
  EXPECT_EQ(gain, in::calculate_gain(in::Nonlinearity::leaky_relu, 0.3));
  expect_ok(onepass_calculate_gain("selu", nullptr, &gain));
  EXPECT_EQ(gain, 0.75);
  EXPECT_EQ(
      refusal(onepass_calculate_gain("gelu", nullptr, &gain)),
      "onepass: nonlinearity must be one of linear, sigmoid, tanh, relu, leaky_relu, selu, but is \"gelu\"");
  std::int64_t fan_in = 0, fan_out = 0;
  expect_ok(onepass_calculate_fans(kShape.data(), 3, &fan_in, &fan_out));
  EXPECT_EQ(fan_in, 12);
  EXPECT_EQ(fan_out, 18);
}

TEST(CRandom, DropoutHasTheMaskOfTheLibraryInBothDirections) {
  RandomHandle random;
  expect_ok(onepass_random_create(ONEPASS_CPU, 42, 3, &random));
  RandomState state(Device::cpu(), {42, 3});
  std::vector<float> x(100, 1.5f), residual(100, 4.0f), out(100), back(100), own(100);
  onepass_dropout call{.size = sizeof call,
                       .site = 9,
                       .p = 0.4,
                       .out = out.data(),
                       .in = x.data(),
                       .residual = residual.data(),
                       .numel = 100,
                       .first = 8};
  expect_ok(onepass_random_advance(random, nullptr));
  state.advance();
  expect_ok(onepass_dropout_forward(&call, random, nullptr));
  dropout_forward({0.4}, {.out = own, .in = x, .residual = residual, .site = 9, .first = 8}, state);
  EXPECT_EQ(out, own);
  call.residual = nullptr, call.out = back.data();
  expect_ok(onepass_dropout_backward(&call, random, nullptr));
  for (std::size_t i = 0; i < back.size(); ++i) EXPECT_EQ(back[i] == 0.0f, out[i] == 4.0f) << i;

  std::uint64_t seed = 0;
  std::int64_t offset = 0;
  expect_ok(onepass_random_state(random, nullptr, &seed, &offset));
  EXPECT_EQ(seed, 42u);
  EXPECT_EQ(offset, 4);
  expect_ok(onepass_random_load(random, 7, 20, nullptr));
  expect_ok(onepass_random_state(random, nullptr, &seed, &offset));
  EXPECT_EQ(seed, 7u);
  EXPECT_EQ(offset, 20);
  call.p = 1.5;
  EXPECT_NE(refusal(onepass_dropout_forward(&call, random, nullptr)), "");
  EXPECT_EQ(refusal(onepass_dropout_forward(&call, nullptr, nullptr)), "onepass: random is null");
}

}  // namespace
}  // namespace onepass::test
