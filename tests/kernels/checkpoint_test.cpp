// checkpoint_test.cpp - a checkpoint does not tell on which device it was saved.
#include "kernels/cuda_test.hpp"
#include "support/checkpoint/files.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"

namespace onepass::test {
namespace {

class CudaCheckpoint : public CudaTest {};

Optimizer optimizer_of(const FormatModel& model, const FormatCase& format, std::uint64_t seed) {
  return {AdamW{.lr = 0.01},
          model.parameters(),
          {.storage = format.low(),
           .float32_storage = format.wide(),
           .seed = seed,
           .ema = EMA{.decay = 0.9},
           .accumulates_gradients = true}};
}

void take_steps(const FormatModel& model, Optimizer& optimizer, int first, int last) {
  for (int step = first; step <= last; ++step) {
    model.draw_finite(step);
    optimizer.accumulate();
    if (step < last) optimizer.step();
  }
  synchronize(optimizer.device());
}

TEST_F(CudaCheckpoint, HasTheBytesOfTheCpuAndLoadsOnEitherDevice) {
  const std::vector<std::int64_t> sizes{70, 0, 515};
  for (const char* const name : {"float32", "all_bf16_stochastic", "bf16_master", "compact"}) {
    SCOPED_TRACE(name);
    const Folder folder;
    const FormatCase& format = format_case(name);
    const FormatModel on_cpu(format, Device::cpu(), sizes), on_gpu(format, kGpu, sizes);
    Optimizer cpu = optimizer_of(on_cpu, format, 3), gpu = optimizer_of(on_gpu, format, 3);
    const CudaStream stream;
    take_steps(on_cpu, cpu, 1, 3);
    take_steps(on_gpu, gpu, 1, 3);
    save(folder / "cpu", cpu);
    save(folder / "gpu", gpu, {}, stream);
    EXPECT_EQ(bytes_of(folder / "cpu"), bytes_of(folder / "gpu"));

    const FormatModel new_cpu(format, Device::cpu(), sizes), new_gpu(format, kGpu, sizes);
    Optimizer from_gpu = optimizer_of(new_cpu, format, 4), from_cpu = optimizer_of(new_gpu, format, 4);
    (void)load(folder / "gpu", from_gpu);
    (void)load(folder / "cpu", from_cpu, {}, stream);
    stream.wait();
    take_steps(new_cpu, from_gpu, 4, 6);
    take_steps(new_gpu, from_cpu, 4, 6);
    take_steps(on_gpu, gpu, 4, 6);
    EXPECT_EQ(all_bytes(on_gpu, gpu.state_dict()), all_bytes(new_gpu, from_cpu.state_dict()));
    EXPECT_EQ(all_bytes(on_gpu, gpu.state_dict()), all_bytes(new_cpu, from_gpu.state_dict()));
    EXPECT_TRUE(new_gpu.intact());
  }
}

TEST_F(CudaCheckpoint, WritesTheCopyOfAParameterThatItLoads) {
  const Folder folder;
  const DeviceBuffer value(kGpu, 8), low(kGpu, 4);
  const std::vector<float> numbers{1.01171875f, -3.0f};
  copy({kGpu, value.data()}, {Device::cpu(), numbers.data()}, 8);
  Optimizer optimizer{SGD{}, std::vector<Parameter>{{.name = "w",
                                                     .value = {value.as<float>(), 2, kGpu},
                                                     .copy = {low.data(), DType::bfloat16, 2, kGpu}}}};
  save(folder / "run", optimizer);
  fill_zero({kGpu, value.data()}, 8);
  (void)load(folder / "run", optimizer);
  std::vector<float> loaded(2);
  std::vector<std::uint16_t> copied(2);
  copy({Device::cpu(), loaded.data()}, {kGpu, value.data()}, 8);
  copy({Device::cpu(), copied.data()}, {kGpu, low.data()}, 4);
  EXPECT_EQ(loaded, numbers);
  EXPECT_EQ(copied, (std::vector<std::uint16_t>{0x3f82, 0xc040}));
}

}  // namespace
}  // namespace onepass::test
