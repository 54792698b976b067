// cuda_backend_test.cpp - compares the network's operations on the GPU with the CPU.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <limits>

#include "model/initialisation.hpp"
#include "tests/model/cuda_support.hpp"

namespace train {
namespace {

using testing::CudaBackend;
using testing::expect_near;
using testing::get;
using testing::numbers;
using testing::put;
using testing::Whole;

constexpr std::int64_t kRows = 67;  // more than the rows that one thread block handles at once
constexpr std::int64_t kColumns = 45;

TEST_F(CudaBackend, GatherGivesTheBitsOfTheCpu) {
  const Images images = testing::made_up_images(20, kColumns, 1);
  const std::vector<std::int32_t> order{19, 0, 7, 7};
  const auto [cpu, cuda] = on_both([&](Backend& backend) {
    const DeviceImages uploaded = upload(backend, images, {0.5f, -3.0f});
    const auto device_order = put(backend, order);
    const auto x = put(backend, numbers(4 * kColumns, 1));
    const auto labels = put(backend, std::vector<std::uint8_t>(4));
    backend.gather(uploaded, device_order.as<std::int32_t>(), {x.as<float>(), 4, kColumns},
                   labels.as<std::uint8_t>());
    std::vector<float> all = get<float>(backend, x);
    std::ranges::copy(get<std::uint8_t>(backend, labels), std::back_inserter(all));
    return all;
  });
  EXPECT_EQ(cpu, cuda);  // scale * pixel + shift is exact here: half of a byte plus a small integer
}

TEST_F(CudaBackend, ActivationsForwardAndBackwardGiveTheBitsOfTheCpu) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Activation activation :
       {Activation::none, Activation::relu, Activation::tanh, Activation::sigmoid}) {
    const auto [cpu, cuda] = on_both([&](Backend& backend) {
      // Sums from the steep middle to the flat tails of the activations and beyond.
      std::vector<float> sums = numbers(kRows * kColumns, 1);
      for (std::size_t i = 0; i < sums.size(); ++i) {
        sums[i] = std::ldexp(sums[i], static_cast<int>(i % 40) - 30);
      }
      std::ranges::copy(
          std::vector{0.0f, -0.0f, 1e-42f, -1e-42f, kInfinity, -kInfinity, 104.0f, -104.0f, -88.0f},
          sums.begin());
      const auto y = put(backend, sums);
      std::vector<float> biases = numbers(kColumns, 2);
      std::fill_n(biases.begin(), 9, 0.0f);
      const auto bias = put(backend, biases);
      const auto delta = put(backend, numbers(kRows * kColumns, 3));
      backend.add_bias({y.as<float>(), kRows, kColumns}, bias.as<float>(), activation);
      backend.activation_backward({delta.as<float>(), kRows, kColumns}, y.as<float>(), activation);
      std::vector<float> all = get<float>(backend, y);
      std::ranges::copy(get<float>(backend, delta), std::back_inserter(all));
      std::vector<std::uint32_t> bits;
      for (const float value : all)
        bits.push_back(std::isnan(value) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(value));
      return bits;
    });
    EXPECT_EQ(cpu, cuda) << static_cast<int>(activation);
  }
}

TEST_F(CudaBackend, ANaNPassesThroughEveryActivation) {
  for (const Activation activation : {Activation::relu, Activation::tanh, Activation::sigmoid}) {
    const auto [cpu, cuda] = on_both([&](Backend& backend) {
      const auto y = put(backend, std::vector<float>{std::numeric_limits<float>::quiet_NaN()});
      const auto bias = put(backend, std::vector<float>{1.0f});
      backend.add_bias({y.as<float>(), 1, 1}, bias.as<float>(), activation);
      return get<float>(backend, y);
    });
    EXPECT_TRUE(std::isnan(cpu.front()) && std::isnan(cuda.front())) << static_cast<int>(activation);
  }
}

TEST_F(CudaBackend, ColumnSumsAgreeWithTheCpu) {
  const auto [cpu, cuda] = on_both([&](Backend& backend) {
    const auto matrix = put(backend, numbers(kRows * kColumns, 1));
    const auto sums = put(backend, numbers(kColumns, 2));
    backend.column_sums({matrix.as<float>(), kRows, kColumns}, sums.as<float>());
    return get<float>(backend, sums);
  });
  expect_near(cpu, cuda,
              67 * 67 * 6e-8f);  // 67 terms below 1, added in two orders, differ by at most n^2 half ulps
}

TEST_F(CudaBackend, CrossEntropyItsGradientAndItsMeanAgreeWithTheCpu) {
  const std::vector<std::uint8_t> labels(kRows, 3);
  const auto [cpu, cuda] = on_both([&](Backend& backend) {
    const auto logits = put(backend, numbers(kRows * kColumns, 1));
    const auto device_labels = put(backend, labels);
    const auto row_loss = put(backend, numbers(kRows, 2));
    const auto mean = put(backend, std::vector<double>{-1.0});
    backend.softmax_cross_entropy({logits.as<float>(), kRows, kColumns}, device_labels.as<std::uint8_t>(),
                                  static_cast<float>(kRows), row_loss.as<float>());
    backend.mean(row_loss.as<float>(), kRows, mean.as<double>());
    std::vector<float> all = get<float>(backend, logits);
    std::ranges::copy(get<float>(backend, row_loss), std::back_inserter(all));
    all.push_back(static_cast<float>(get<double>(backend, mean).front()));
    return all;
  });
  expect_near(cpu, cuda, 2e-6f);  // losses of about 4 with errors of a few ulp from exp, log and 45 additions
}

TEST_F(CudaBackend, ANaNReachesTheLoss) {
  for (const std::size_t where : {std::size_t{0}, std::size_t{40}}) {
    const auto [cpu, cuda] = on_both([&](Backend& backend) {
      std::vector<float> values = numbers(kColumns, 1);
      values[where] = std::numeric_limits<float>::quiet_NaN();
      const auto logits = put(backend, values);
      const auto label = put(backend, std::vector<std::uint8_t>{3});
      const auto row_loss = put(backend, std::vector<float>{0.0f});
      backend.softmax_cross_entropy({logits.as<float>(), 1, kColumns}, label.as<std::uint8_t>(), 1.0f,
                                    row_loss.as<float>());
      return get<float>(backend, row_loss);
    });
    EXPECT_TRUE(std::isnan(cpu.front()) && std::isnan(cuda.front())) << where;
  }
}

TEST_F(CudaBackend, CorrectRowsAgreeWithTheCpu) {
  std::vector<std::uint8_t> labels;
  for (std::int64_t row = 0; row < kRows; ++row) labels.push_back(static_cast<std::uint8_t>(row % 3));
  const auto [cpu, cuda] = on_both([&](Backend& backend) {
    const auto logits = put(backend, numbers(kRows * 3, 1));
    const auto device_labels = put(backend, labels);
    const auto correct = put(backend, std::vector<std::int64_t>{-1});
    backend.count_correct({logits.as<float>(), kRows, 3}, device_labels.as<std::uint8_t>(),
                          correct.as<std::int64_t>());
    return get<std::int64_t>(backend, correct);
  });
  EXPECT_EQ(cpu, cuda);
  EXPECT_GT(cpu.front(), 0);
}

TEST_F(CudaBackend, ProductsOfTransposedFactorsAgreeWithTheCpu) {
  constexpr std::int64_t kInner = 19;
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      const auto [cpu, cuda] = on_both([&, transpose_a = transpose_a,
                                        transpose_b = transpose_b](Backend& backend) {
        const auto a = put(backend, numbers(kRows * kInner, 1));
        const auto b = put(backend, numbers(kInner * kColumns, 2));
        const auto c = put(backend, numbers(kRows * kColumns, 3));
        const Matrix stored_a =
            transpose_a ? Matrix{a.as<float>(), kInner, kRows} : Matrix{a.as<float>(), kRows, kInner};
        const Matrix stored_b =
            transpose_b ? Matrix{b.as<float>(), kColumns, kInner} : Matrix{b.as<float>(), kInner, kColumns};
        backend.multiply({stored_a, transpose_a}, {stored_b, transpose_b}, {c.as<float>(), kRows, kColumns});
        return get<float>(backend, c);
      });
      expect_near(cpu, cuda, 19 * 19 * 6e-8f);
    }
  }
}

TEST_F(CudaBackend, LossesAgreeWithTheCpuAndRepeatBitForBit) {
  const Dataset data = testing::made_up_dataset(60, 20);
  for (const ActivationKind& kind : kActivations) {
    Settings settings{.lr = {}, .weight_decay = {}};
    settings.activation = kind.activation;
    settings.hidden = {12, 11};
    settings.batch_size = 7;
    const auto run = [&](Backend& backend) {
      const DeviceDataset images{upload(backend, data.training, data.normalisation),
                                 upload(backend, data.test, data.normalisation)};
      Trainer trainer(backend, images, settings);
      const History history = trainer.run(10);
      std::vector<double> results = history.losses;
      results.push_back(history.epochs.back().train.loss);
      results.push_back(history.epochs.back().test.loss);
      return results;
    };
    const std::vector<double> cpu = run(*cpu_);
    const std::vector<double> cuda = run(*cuda_);
    EXPECT_EQ(cuda, run(*cuda_));
    ASSERT_EQ(cpu.size(), cuda.size());
    // The sums are computed in another order, and ten steps amplify the difference.
    for (std::size_t i = 0; i < cpu.size(); ++i) EXPECT_NEAR(cpu[i], cuda[i], 1e-4) << kind.name << " " << i;
  }
}

TEST_F(CudaBackend, LossesAgreeWithTheCpuWithEveryOptionAroundTheStep) {
  const Dataset data = testing::made_up_dataset(100, 40);
  for (const char* optimizer : {"momentum", "adamw"}) {
    Whole cpu(*cpu_, data, testing::everything(optimizer));
    Whole cuda(*cuda_, data, testing::everything(optimizer));
    const History on_cpu = cpu.trainer.run(10);
    const History on_cuda = cuda.trainer.run(10);
    EXPECT_EQ(on_cpu.rates, on_cuda.rates) << optimizer;
    // The matrix products add in another order, and ten steps amplify the difference. A wrong mask, clipping
    // or schedule would show in the second digit.
    for (std::size_t i = 0; i < 10; ++i) EXPECT_NEAR(on_cpu.losses[i], on_cuda.losses[i], 1e-4) << optimizer;
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_NEAR(on_cpu.epochs[i].test.loss, on_cuda.epochs[i].test.loss, 1e-4) << optimizer;
      EXPECT_NEAR(on_cpu.epochs[i].penalty, on_cuda.epochs[i].penalty, 1e-4) << optimizer;
    }
    EXPECT_EQ(cpu.trainer.checkpoint().dropout, cuda.trainer.checkpoint().dropout);
  }
}

TEST_F(CudaBackend, EveryInitialisationGivesTheBitsOfTheCpu) {
  for (const Initialisation& init : initialisations()) {
    for (const onepass::DType dtype : {onepass::DType::float32, onepass::DType::bfloat16}) {
      const auto [cpu, cuda] = on_both([&](Backend& backend) {
        Network network(backend, {.widths = {20, 9, kClasses}, .dtype = dtype});
        network.initialise(5, init.make(Activation::tanh));
        std::vector<float> values;
        for (const NamedValues& tensor : network.read())
          std::ranges::copy(tensor.values, std::back_inserter(values));
        return values;
      });
      EXPECT_EQ(cpu, cuda) << init.name << " " << onepass::to_string(dtype);
    }
  }
}

TEST_F(CudaBackend, DropoutDropsTheOutputsThatItDropsOnTheCpu) {
  const Images images = testing::made_up_images(7, 16, 9);
  const std::vector<std::int32_t> order{0, 1, 2, 3, 4, 5, 6};
  const auto [cpu, cuda] = on_both([&](Backend& backend) {
    const DeviceImages uploaded = upload(backend, images, normalise(images));
    const auto device_order = put(backend, order);
    Network network(backend, {.widths = {16, 9, kClasses}, .dropout = 0.9, .max_rows = 7});
    network.initialise(5, onepass::initializers::KaimingNormal{});
    backend.gather(uploaded, device_order.as<std::int32_t>(), network.input(7), network.labels());
    const Matrix out = network.forward(Part{.rows = 7, .first = 3});
    std::vector<float> logits(7 * kClasses);
    onepass::copy({onepass::Device::cpu(), logits.data()}, {backend.device(), out.data},
                  logits.size() * sizeof(float), backend.stream());
    return logits;
  });
  // A row whose outputs are all dropped, which has the probability 0.9^9, has logits of exactly 0.
  EXPECT_GT(std::ranges::count(cpu, 0.0f), 0);
  EXPECT_EQ(std::ranges::count(cpu, 0.0f), std::ranges::count(cuda, 0.0f));
  expect_near(cpu, cuda, 1e-4f);
}

}  // namespace
}  // namespace train

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (!onepass::cuda_available()) {
    std::puts("SKIPPED: there is no CUDA device here");
    return 77;
  }
  return RUN_ALL_TESTS();
}
