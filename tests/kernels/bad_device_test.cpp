// bad_device_test.cpp - the library refuses memory that is not on the declared device and changes nothing.
#include "kernels/cuda_test.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

class CudaBadInput : public CudaTest {};

constexpr std::int64_t kNumel = 9;

TEST_F(CudaBadInput, HostMemoryDeclaredAsGpuMemoryIsRefused) {
  std::vector<float> host(2 * kNumel);
  const DeviceBuffer device(kGpu, kNumel * sizeof(float));
  const Tensor wrong{host.data(), kNumel, kGpu};
  const Tensor right{device.as<float>(), kNumel, kGpu};
  EXPECT_TRUE(refused(
      [&] {
        Optimizer{SGD{}, std::vector<Parameter>{{"w", wrong}}};
      },
      {"\"w\"", "cuda:0", "cpu"}));
  EXPECT_TRUE(refused(
      [&] {
        Optimizer{SGD{}, std::vector<Parameter>{{"w", right, wrong}}};
      },
      {"\"w\"", "cuda:0", "cpu"}));
}

TEST_F(CudaBadInput, GpuMemoryDeclaredAsHostMemoryIsRefused) {
  const DeviceBuffer device(kGpu, 2 * kNumel * sizeof(float));
  const Tensor wrong{device.as<float>(), kNumel};
  EXPECT_TRUE(refused(
      [&] {
        Optimizer{SGD{}, std::vector<Parameter>{{"w", wrong}}};
      },
      {"\"w\"", "cuda:0", "cpu"}));
}

TEST_F(CudaBadInput, ParametersOnTwoDevicesAreRefused) {
  std::vector<float> host(kNumel);
  const DeviceBuffer device(kGpu, kNumel * sizeof(float));
  const Tensor here{host.data(), kNumel}, there{device.as<float>(), kNumel, kGpu};
  EXPECT_TRUE(refused(
      [&] {
        Optimizer{SGD{}, std::vector<Parameter>{{"a", here}, {"b", there}}};
      },
      {"\"b\"", "cuda:0", "cpu"}));
  EXPECT_TRUE(refused(
      [&] {
        Optimizer{SGD{}, std::vector<Parameter>{{"a", there}, {"b", here}}};
      },
      {"\"b\"", "cuda:0", "cpu"}));
}

TEST_F(CudaBadInput, FoundInfInHostMemoryIsRefused) {
  const DeviceBuffer device(kGpu, kNumel * sizeof(float));
  Optimizer optimizer{SGD{}, std::vector<Parameter>{{"w", Tensor{device.as<float>(), kNumel, kGpu}}}};
  const std::vector<float> found_inf(1);
  EXPECT_TRUE(refused([&] { optimizer.set_found_inf(found_inf.data()); }, {"found_inf", "cuda:0", "cpu"}));
}

TEST_F(CudaBadInput, RefusedGradientsAndParametersChangeNothing) {
  const std::vector<Shape> shapes{{.numel = 70}, {.numel = 9}};
  Model cpu(shapes), gpu(shapes, kGpu);
  Optimizer wanted(AdamW{}, cpu.parameters());
  Optimizer actual(AdamW{}, gpu.parameters());
  train(cpu, wanted, 1);
  train(gpu, actual, 1);

  std::vector<float> host(70);
  std::vector<Tensor> gradients = gpu.gradients();
  gradients[1] = Tensor{host.data(), 9, kGpu};
  EXPECT_TRUE(refused([&] { actual.set_gradients(gradients); }, {"\"t1\"", "cuda:0"}));
  gradients[1] = Tensor{gpu.grad(0).tensor()};
  EXPECT_TRUE(refused([&] { actual.set_gradients(gradients); }, {"\"t1\"", "70", "9"}));
  EXPECT_TRUE(refused(
      [&] {
        actual.add_parameters(std::vector<Parameter>{{"x", Tensor{host.data(), 70}}});
      },
      {"\"x\"", "cpu"}));
  EXPECT_TRUE(refused([&] { actual.set_lr(-1.0); }, {"AdamW.lr"}));

  train(cpu, wanted, 2, 2);
  train(gpu, actual, 2, 2);
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
}

}  // namespace
}  // namespace onepass::test
