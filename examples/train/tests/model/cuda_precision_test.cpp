// cuda_precision_test.cpp - compares training with 16-bit parameters on the GPU with the CPU.
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <iterator>
#include <numeric>

#include "tests/model/cuda_support.hpp"
#include "training/precision.hpp"

namespace train {
namespace {

using testing::get;
using testing::numbers;
using testing::put;
using testing::Whole;

class CudaPrecision : public testing::CudaBackend {};

TEST_F(CudaPrecision, WidensEveryBfloat16AndNarrowsToTheSameBits) {
  std::vector<std::uint16_t> all(65536);
  std::iota(all.begin(), all.end(), std::uint16_t{0});
  std::vector<float> values = numbers(1000, 1);
  for (const std::uint32_t below_a_tie : {0x7fffu, 0x8000u, 0x8001u}) {
    for (std::uint32_t upper = 0; upper < 65536; upper += 11) {
      values.push_back(std::bit_cast<float>(upper << 16 | below_a_tie));
    }
  }
  const auto [cpu, cuda] = on_both([&](Backend& backend) {
    const auto stored = put(backend, all);
    const auto wide = put(backend, std::vector<float>(all.size(), 1.0f));
    backend.widen(stored.as<std::uint16_t>(), std::ssize(all), wide.as<float>());
    const auto from = put(backend, values);
    const auto low = put(backend, std::vector<std::uint16_t>(values.size(), 1));
    backend.narrow(from.as<float>(), std::ssize(values), low.as<std::uint16_t>());
    std::vector<std::uint32_t> bits;
    for (const float value : get<float>(backend, wide)) bits.push_back(std::bit_cast<std::uint32_t>(value));
    std::ranges::copy(get<std::uint16_t>(backend, low), std::back_inserter(bits));
    return bits;
  });
  EXPECT_EQ(cpu, cuda);
  for (std::uint32_t i = 0; i < 65536; ++i) ASSERT_EQ(cuda[i], i << 16);
}

/// Returns the bits of the gradients of one image for 16-bit parameters.
std::vector<std::uint16_t> low_gradients(Backend& backend) {
  const Images image = testing::made_up_images(1, 16, 9);
  const DeviceImages uploaded = upload(backend, image, normalise(image));
  const auto order = put(backend, std::vector<std::int32_t>{0});
  const auto loss = put(backend, std::vector<double>{0.0});
  Network network(backend, {.widths = {16, 9, kClasses}, .dtype = onepass::DType::bfloat16});
  network.initialise(5, onepass::initializers::KaimingNormal{});
  backend.gather(uploaded, order.as<std::int32_t>(), network.input(1), network.labels());
  network.forward(Part{.rows = 1});
  network.backward({.rows = 1}, loss.as<double>());
  std::vector<std::uint16_t> bits;
  for (const onepass::Parameter& parameter : network.parameters()) {
    std::vector<std::uint16_t> grad(static_cast<std::size_t>(parameter.grad.numel));
    onepass::copy({onepass::Device::cpu(), grad.data()}, {backend.device(), parameter.grad.data},
                  parameter.grad.bytes(), backend.stream());
    std::ranges::copy(grad, std::back_inserter(bits));
  }
  return bits;
}

TEST_F(CudaPrecision, RoundedGradientsAgreeWithTheCpu) {
  const auto [cpu, cuda] = on_both(low_gradients);
  ASSERT_EQ(cpu.size(), cuda.size());
  EXPECT_GT(std::ranges::count_if(cpu, [](std::uint16_t bits) { return bits != 0; }), 50);
  for (std::size_t i = 0; i < cpu.size(); ++i) {
    // Sums in another order may round to a neighbour.
    EXPECT_LE(std::abs(int{cpu[i]} - int{cuda[i]}), 1) << i;
  }
}

/// Returns settings with every option around the step, in every precision and with both roundings.
std::vector<Settings> every_precision(const char* optimizer) {
  std::vector<Settings> all;
  for (const PrecisionKind& kind : precision_kinds()) {
    all.push_back(testing::everything(optimizer));
    all.back().precision = kind.name;
  }
  all.push_back(testing::everything(optimizer));
  all.back().precision = "bf16";
  all.back().rounding = onepass::Rounding::stochastic;
  return all;
}

TEST_F(CudaPrecision, LossesAgreeWithTheCpuInEveryPrecision) {
  const Dataset data = testing::made_up_dataset(100, 40);
  for (const Settings& settings : every_precision("adamw")) {
    Whole cpu(*cpu_, data, settings);
    Whole cuda(*cuda_, data, settings);
    EXPECT_EQ(testing::numbers_of(cpu.trainer), testing::numbers_of(cuda.trainer)) << settings.precision;
    const History on_cpu = cpu.trainer.run(10);
    const History on_cuda = cuda.trainer.run(10);
    // Sums in another order sometimes change the rounding of a gradient or a parameter, by 2^-8 of its value.
    // As a measure: random errors of 2e-7 in the products changed these losses by at most 7e-5 on the CPU.
    for (std::size_t i = 0; i < 10; ++i) {
      EXPECT_NEAR(on_cpu.losses[i], on_cuda.losses[i], 1e-3) << settings.precision << " " << i;
    }
  }
}

TEST_F(CudaPrecision, AResumedRunEqualsAnUninterruptedOne) {
  const Dataset data = testing::made_up_dataset(100, 40);
  for (const char* optimizer : {"momentum", "adamw"}) {
    for (const Settings& settings : every_precision(optimizer)) {
      Whole whole(*cuda_, data, settings);
      const History both = whole.trainer.run(7);
      Whole before(*cuda_, data, settings);
      before.trainer.run(3);
      Whole after(*cuda_, data, settings);
      after.trainer.restore(testing::through_a_file(before.trainer.checkpoint()));
      const History second = after.trainer.run(4);
      EXPECT_TRUE(std::equal(second.losses.begin(), second.losses.end(), both.losses.begin() + 3))
          << optimizer << " " << settings.precision;
      EXPECT_EQ(testing::file_of(after.trainer.checkpoint()), testing::file_of(whole.trainer.checkpoint()))
          << optimizer << " " << settings.precision;
    }
  }
}

}  // namespace
}  // namespace train
