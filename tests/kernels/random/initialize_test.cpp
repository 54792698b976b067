// initialize_test.cpp - the GPU draws the numbers of the CPU in one launch, for every split and alignment.
#include "kernels/cuda_test.hpp"
#include "support/initializer_cases.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

class CudaInitialize : public CudaTest {};

std::int64_t elements(const std::vector<std::int64_t>& shape) {
  std::int64_t product = 1;
  for (const std::int64_t size : shape) product *= size;
  return product;
}

constexpr RandomKey kKey{.seed = 0xabcdef0123456789, .tensor = 77};

std::vector<float> on_cpu(const InitializerCase& one, const RandomKey& key = kKey) {
  std::vector<float> values(static_cast<std::size_t>(elements(one.shape)));
  initialize(values, one.shape, one.initializer, key);
  return values;
}

TEST_F(CudaInitialize, GivesTheBitsOfTheCpu) {
  for (const InitializerCase& one : initializer_cases()) {
    for (int misalignment = 0; misalignment < 4; ++misalignment) {
      GuardedBuffer tensor(kGpu, elements(one.shape), misalignment);
      initialize(tensor.tensor(), one.shape, one.initializer, kKey);
      EXPECT_TRUE(equal_bits(on_cpu(one), tensor.read())) << one.name << ", " << misalignment;
      EXPECT_TRUE(tensor.intact()) << one.name;
    }
  }
}

TEST_F(CudaInitialize, GivesTheBitsOfTheCpuWhenEachThreadTakesSeveralTurns) {
  const std::int64_t one_turn = RandomState(kGpu, {}).dropout_blocks() * 1024;  // fill's is not larger
  const InitializerCase one{"uniform", initializers::Uniform{}, {2 * one_turn + 5}};
  GuardedBuffer tensor(kGpu, 2 * one_turn + 5, 0);
  initialize(tensor.tensor(), one.shape, one.initializer, kKey);
  EXPECT_TRUE(equal_bits(on_cpu(one), tensor.read()));
}

// Ranges may start inside a draw, at an aligned address or not.
TEST_F(CudaInitialize, ShardsGiveTheBitsOfTheWhole) {
  const InitializerCase one{"normal", initializers::Normal{}, {6007}};
  const std::vector<float> wanted = on_cpu(one);
  for (const std::int64_t first : {0, 1, 2, 3, 4, 5, 1023, 6000, 6007}) {
    for (const std::int64_t size : {0, 1, 2, 3, 4, 5, 7, 1023, 1024, 1025}) {
      const std::int64_t count = std::min<std::int64_t>(size, 6007 - first);
      const int misalignment = static_cast<int>((first + size / 2) % 4);
      GuardedBuffer shard(kGpu, count, misalignment);
      initialize(shard.tensor(), one.shape, one.initializer,
                 {.seed = kKey.seed, .tensor = kKey.tensor, .first = first});
      ASSERT_TRUE(equal_bits(
          std::span(wanted).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
          shard.read()))
          << count << " from " << first << ", misaligned by " << misalignment;
      ASSERT_TRUE(shard.intact());
    }
  }
}

TEST_F(CudaInitialize, ShardsBeyondThirtyTwoBitsGiveTheBitsOfTheCpu) {
  const std::vector<std::int64_t> shape{1ll << 24, 1ll << 24};
  const RandomKey key{.seed = 5, .first = (1ll << 34) - 6};
  std::vector<float> wanted(12);
  initialize(wanted, shape, initializers::Normal{}, key);
  GuardedBuffer shard(kGpu, 12, 2);
  initialize(shard.tensor(), shape, initializers::Normal{}, key);
  EXPECT_TRUE(equal_bits(wanted, shard.read()));
}

TEST_F(CudaInitialize, IsOneLaunchThatCanBeCaptured) {
  const InitializerCase one{"uniform", initializers::Uniform{}, {1000}};
  GuardedBuffer tensor(kGpu, 1000, 0);
  initialize(tensor.tensor(), one.shape, initializers::Zeros{}, kKey);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream,
                            [&] { initialize(tensor.tensor(), one.shape, one.initializer, kKey, stream); });
  EXPECT_EQ(graph.kernel_nodes(), 1);
  EXPECT_EQ(graph.node_count(), 1);
  EXPECT_TRUE(equal_bits(std::vector<float>(1000, 0.0f), tensor.read()));
  graph.replay(stream);
  stream.wait();
  EXPECT_TRUE(equal_bits(on_cpu(one), tensor.read()));
}

TEST_F(CudaInitialize, MemoryOnAnotherDeviceIsRefused) {
  std::vector<float> host(8, 1.0f);
  EXPECT_TRUE(refused(
      [&] {
        initialize(Tensor{host.data(), 8, kGpu}, {8}, initializers::Normal{}, {});
      },
      {"tensor", "cuda:0", "cpu"}));
  const DeviceBuffer device(kGpu, 32);
  EXPECT_TRUE(refused(
      [&] {
        initialize(Tensor{device.as<float>(), 8}, {8}, initializers::Normal{}, {});
      },
      {"tensor", "cuda:0", "cpu"}));
}

}  // namespace
}  // namespace onepass::test
