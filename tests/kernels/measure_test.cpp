// measure_test.cpp - the measures of shards have on CUDA the bits of the CPU, and steps take them in graphs.
#include <limits>

#include "kernels/gradient_pair.hpp"
#include "kernels/shared/device_words.hpp"
#include "support/numbers/values.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

class CudaMeasure : public CudaTest {};

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<ClipGradNorm> clips() {
  std::vector<ClipGradNorm> all;
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    for (const bool per_group : {false, true}) {
      for (const bool exact : {false, true}) {
        all.push_back({.max_norm = 0.05, .norm_type = type, .per_group = per_group, .exact = exact});
      }
    }
    all.push_back({.max_norm = 0.05, .norm_type = type, .per_parameter = true});
  }
  return all;
}

/// Adds up the words, or takes the maximum, as if another shard had the same gradients once more.
std::vector<std::int64_t> with_a_twin(std::vector<std::int64_t> words, NormType type) {
  for (std::int64_t& word : words) word *= type == NormType::infinity ? 1 : 2;
  return words;
}

TEST_F(CudaMeasure, EveryNormHasTheBitsOfTheCpu) {
  for (const ClipGradNorm& clip : clips()) {
    Pair pair(border_shapes(), {.clip_norm = clip, .nonfinite = NonFinite::error});
    const std::int64_t numel = pair.wanted.measure_numel();
    const Words cpu(Device::cpu(), numel), gpu(kGpu, numel);
    for (int step = 1; step <= 4; ++step) {
      pair.both([&](Model& model, Optimizer&) {
        model.draw_finite_gradients(step);
        if (step == 3) spoil(model, 12, 9002, kNaN);
      });
      pair.wanted.measure(cpu.tensor());
      pair.actual.measure(gpu.tensor());
      ASSERT_EQ(cpu.read(), gpu.read()) << step;
      for (const Words* words : {&cpu, &gpu}) words->write(with_a_twin(words->read(), clip.norm_type));
      pair.wanted.step_measured(cpu.tensor());
      pair.actual.step_measured(gpu.tensor());
      pair.expect_same();
    }
    EXPECT_EQ(pair.actual.skipped_steps(), 1);
    EXPECT_THROW(pair.actual.check(), NonFiniteGradient);
  }
}

TEST_F(CudaMeasure, ReplaysFollowTheWordsInMemory) {
  Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.05, .per_group = true}});
  const std::int64_t numel = pair.wanted.measure_numel();
  const Words cpu(Device::cpu(), numel), gpu(kGpu, numel);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph measure(stream, [&] { pair.actual.measure(gpu.tensor(), stream); });
  const CapturedGraph step(stream, [&] { pair.actual.step_measured(gpu.tensor(), stream); });
  EXPECT_EQ(measure.kernel_nodes(), 2);
  EXPECT_EQ(measure.node_count(), 2);
  EXPECT_EQ(step.kernel_nodes(), 3);
  EXPECT_EQ(step.node_count(), 3);
  for (int replay = 1; replay <= 3; ++replay) {
    pair.both([&](Model& model, Optimizer&) { model.draw_finite_gradients(replay); });
    synchronize(kGpu);
    pair.wanted.measure(cpu.tensor());
    measure.replay(stream);
    stream.wait();
    ASSERT_EQ(cpu.read(), gpu.read());
    for (const Words* words : {&cpu, &gpu}) words->write(with_a_twin(words->read(), NormType::l2));
    pair.wanted.step_measured(cpu.tensor());
    step.replay(stream);
    stream.wait();
    pair.expect_same();
  }
}

// Leaves of one bin, of two, of many; the ends of float32; cut short or whole.
TEST_F(CudaMeasure, ExactSumsOfAnyMagnitudesHaveTheBitsOfTheCpu) {
  for (const auto& [low, high] :
       {std::pair{0, 0}, {-1, 0}, {-12, 0}, {-25, 1}, {-40, 3}, {-149, -126}, {-149, 127}, {126, 127}}) {
    for (const NormType type : {NormType::l1, NormType::l2}) {
      Pair pair({{.numel = 5000, .grad_misalignment = 1}, {.numel = 2048}, {.numel = 3}},
                {.clip_norm = ClipGradNorm{.norm_type = type, .exact = true}});
      pair.both([&](Model& model, Optimizer&) {
        for (std::size_t t = 0; t < model.size(); ++t) {
          model.grad(t).write(between(static_cast<std::size_t>(model.shape(t).numel), low, high, t));
        }
      });
      const Words cpu(Device::cpu(), 22), gpu(kGpu, 22);
      pair.wanted.measure(cpu.tensor());
      pair.actual.measure(gpu.tensor());
      EXPECT_EQ(cpu.read(), gpu.read()) << low << " to " << high;
    }
  }
}

// A captured launch keeps whether it is exact.
TEST_F(CudaMeasure, ReplaysKeepWhetherTheNormIsExact) {
  for (const bool exact : {false, true}) {
    Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.05, .exact = exact}});
    pair.both([](Model& model, Optimizer&) { model.draw_finite_gradients(1); });
    synchronize(kGpu);
    const CudaStream stream;
    const CapturedGraph step(stream, [&] { pair.actual.step(stream); });
    EXPECT_EQ(step.kernel_nodes(), 3);
    pair.actual.clip_grad_norm({.max_norm = 0.05, .exact = !exact}, stream);
    step.replay(stream);
    stream.wait();
    pair.wanted.step();
    pair.expect_same();
  }
}

// Turned off after the capture, the norm is neither measured nor taken; a captured measure writes no more
// words than it was captured for.
TEST_F(CudaMeasure, ReplaysStayInTheirWordsWhateverTheSettings) {
  Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.05}});
  const Words cpu(Device::cpu(), 22), gpu(kGpu, 22 + 1);
  const Tensor some{gpu.tensor().data, DType::int64, 22, kGpu};
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] {
    pair.actual.measure(some, stream);
    pair.actual.step_measured(some, stream);
  });
  gpu.write(std::vector<std::int64_t>(23, -7));
  pair.actual.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.05, .per_group = true}}, stream);
  graph.replay(stream);
  stream.wait();
  EXPECT_EQ(gpu.read().back(), -7);
  pair.actual.set_gradient_handling({}, stream);
  graph.replay(stream);
  stream.wait();
  EXPECT_EQ(gpu.read(), [] {
    std::vector<std::int64_t> words(23, 0);
    words.back() = -7;
    return words;
  }());
  EXPECT_EQ(pair.actual.steps(), 2);
}

TEST_F(CudaMeasure, WordsOnTheHostAreRefused) {
  Model model(border_shapes(), kGpu);
  Optimizer optimizer(Pair::rules(), model.parameters());
  optimizer.clip_grad_norm(1.0);
  const Words host(Device::cpu(), 22);
  EXPECT_TRUE(refused([&] { optimizer.measure(host.tensor()); }, {"measure", "cpu", "cuda:0"}));
  const Tensor lie{host.tensor().data, DType::int64, 22, kGpu};
  EXPECT_TRUE(refused([&] { optimizer.step_measured(lie); }, {"measure", "cpu", "cuda:0"}));
}

}  // namespace
}  // namespace onepass::test
