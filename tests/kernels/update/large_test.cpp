// large_test.cpp - one tensor of more than 2^31 elements, if the GPU has the memory.
#include <algorithm>

#include "kernels/cuda_test.hpp"

namespace onepass::test {
namespace {

class CudaLarge : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    std::size_t free = 0, total = 0;
    require(cudaMemGetInfo(&free, &total));
    if (free < (std::size_t{40} << 30)) GTEST_SKIP() << "less than 40 GiB of free GPU memory";
  }
};

// Parameters are zero, and gradients are zero except at a few marks. The step must change all of the marks
// and nothing else.
TEST_F(CudaLarge, ElementsBeyondThirtyTwoBitsMoveAndNoOthers) {
  constexpr std::int64_t kNumel = (std::int64_t{1} << 31) + 1027;
  const std::vector<std::int64_t> marks{
      0,         1, 1 << 20, (std::int64_t{1} << 31) - 1, std::int64_t{1} << 31, (std::int64_t{1} << 31) + 1,
      kNumel - 1};
  const std::size_t bytes = static_cast<std::size_t>(kNumel) * sizeof(float);
  const DeviceBuffer value(kGpu, bytes), grad(kGpu, bytes);
  fill_zero({kGpu, value.data()}, bytes);
  fill_zero({kGpu, grad.data()}, bytes);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const float gradient = static_cast<float>(i + 1);
    copy({kGpu, grad.as<float>() + marks[i]}, {Device::cpu(), &gradient}, sizeof(float));
  }
  Optimizer optimizer{SGD{.lr = 1.0}, std::vector<Parameter>{{"w", Tensor{value.as<float>(), kNumel, kGpu},
                                                              Tensor{grad.as<float>(), kNumel, kGpu}}}};
  optimizer.step();

  constexpr std::int64_t kWindow = std::int64_t{1} << 26;
  std::vector<float> window(static_cast<std::size_t>(kWindow));
  std::vector<std::pair<std::int64_t, float>> moved;
  for (std::int64_t begin = 0; begin < kNumel; begin += kWindow) {
    const std::int64_t count = std::min(kWindow, kNumel - begin);
    copy({Device::cpu(), window.data()}, {kGpu, value.as<float>() + begin},
         static_cast<std::size_t>(count) * sizeof(float));
    for (std::int64_t i = 0; i < count && moved.size() < 100; ++i) {
      if (window[static_cast<std::size_t>(i)] != 0.0f)
        moved.emplace_back(begin + i, window[static_cast<std::size_t>(i)]);
    }
  }
  std::vector<std::pair<std::int64_t, float>> wanted;
  for (std::size_t i = 0; i < marks.size(); ++i) wanted.emplace_back(marks[i], -static_cast<float>(i + 1));
  EXPECT_EQ(moved, wanted);
}

}  // namespace
}  // namespace onepass::test
