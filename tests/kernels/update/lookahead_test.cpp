// lookahead_test.cpp - slow weights move on CUDA with the bits of the CPU, in every format that takes them,
// in graphs too.
#include "kernels/cuda_test.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

class CudaLookahead : public CudaTest {};

const std::vector<std::int64_t> kNumels{4500, 0, 33, 7};

Options options_of(const FormatCase& format) {
  return {.chunk_size = 512,
          .storage = format.low(),
          .float32_storage = format.wide(),
          .seed = 7,
          .ema = EMA{.decay = 0.5},
          .lookahead = Lookahead{.k = 2, .alpha = 0.3}};
}

void draw(int t, const FormatModel& cpu, const FormatModel& gpu) {
  cpu.draw_finite(t);
  gpu.draw_finite(t);
  synchronize(kGpu);
}

TEST_F(CudaLookahead, EveryFormatMovesWithTheBitsOfTheCpu) {
  int taken = 0;
  for (const FormatCase& format : all_format_cases()) {
    const bool holds_float32 = format.param == DType::float32 || format.storage.master == Master::float32 ||
                               format.storage.master == Master::split;
    if (!holds_float32) continue;
    ++taken;
    SCOPED_TRACE(format.name);
    const FormatModel cpu(format, Device::cpu(), kNumels), gpu(format, kGpu, kNumels);
    Optimizer wanted{AdamW{.lr = 0.01}, cpu.parameters(), options_of(format)};
    Optimizer actual{AdamW{.lr = 0.01}, gpu.parameters(), options_of(format)};
    for (int t = 1; t <= 4; ++t) {
      draw(t, cpu, gpu);
      wanted.step();
      actual.step();
      EXPECT_EQ(all_bytes(cpu, wanted.state_dict()), all_bytes(gpu, actual.state_dict())) << t;
    }
  }
  EXPECT_GE(taken, 10);
}

TEST_F(CudaLookahead, ReplaysMoveInEveryKthStep) {
  const FormatCase& format = format_case("float32");
  const FormatModel cpu(format, Device::cpu(), kNumels), gpu(format, kGpu, kNumels);
  Optimizer wanted{SGD{.lr = 0.01}, cpu.parameters(), options_of(format)};
  Optimizer actual{SGD{.lr = 0.01}, gpu.parameters(), options_of(format)};
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { actual.step(stream); });
  EXPECT_EQ(graph.node_count(), 2);
  for (int t = 1; t <= 5; ++t) {
    draw(t, cpu, gpu);
    wanted.step();
    graph.replay(stream);
    stream.wait();
    EXPECT_EQ(all_bytes(cpu, wanted.state_dict()), all_bytes(gpu, actual.state_dict())) << t;
  }
}

}  // namespace
}  // namespace onepass::test
