// perturb_test.cpp - perturbations have on CUDA the bits of the CPU, take as many launches for any number of
// tensors, can be captured, and move the bytes of their streams.
#include <limits>

#include "kernels/gradient_pair.hpp"
#include "kernels/shared/device_words.hpp"
#include "support/formats/format_model.hpp"
#include "support/refusal.hpp"
#include "support/sample.hpp"
#include "support/work/kernel_work.hpp"

namespace onepass::test {
namespace {

class CudaPerturb : public CudaTest {};

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

const std::vector<Sam> kCases{{.rho = 3.0}, {.rho = 2.0, .adaptive = true, .eta = 0.01}};

/// Small tensors in two groups, and one of two leaves.
std::vector<Shape> tensors(int count) {
  std::vector<Shape> shapes;
  for (int i = 0; i < count; ++i) {
    shapes.push_back({.numel = i == 0 ? 1100 : i % 9, .group = static_cast<std::size_t>(i % 2)});
  }
  return shapes;
}

using Bytes = std::vector<std::byte>;

Bytes bytes_of(const FormatModel& model) {
  Bytes all;
  for (std::size_t t = 0; t < model.size(); ++t) {
    const Bytes bytes = model.value(t).bytes();
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

/// The bytes of all values after a step, after the perturbation that follows, and after the restoration.
std::vector<Bytes> steps_of(const FormatCase& format, Device device, const Sam& sam) {
  const FormatModel model(format, device, {0, 3, 40, 131, 257});
  Optimizer optimizer(AdamW{.lr = 0.01}, model.parameters(),
                      {.chunk_size = 128, .storage = format.low(), .float32_storage = format.wide()});
  std::vector<Bytes> all;
  model.draw_finite(1);
  optimizer.step();
  all.push_back(bytes_of(model));
  model.draw_finite(2);
  optimizer.perturb(sam);
  all.push_back(bytes_of(model));
  optimizer.restore();
  all.push_back(bytes_of(model));
  EXPECT_TRUE(model.intact());
  return all;
}

TEST_F(CudaPerturb, EveryFormatHasTheBitsOfTheCpuAndGetsItsBitsBack) {
  Sample sample;
  for (const FormatCase& format : all_format_cases()) {
    for (const Sam& sam : kCases) {
      if (!sample.takes_next()) continue;
      SCOPED_TRACE(format.name);
      const std::vector<Bytes> gpu = steps_of(format, kGpu, sam);
      EXPECT_EQ(steps_of(format, Device::cpu(), sam), gpu);
      EXPECT_NE(gpu[0], gpu[1]);
      EXPECT_EQ(gpu[0], gpu[2]);
    }
  }
}

TEST_F(CudaPerturb, LoopsHaveTheBitsOfTheCpu) {
  for (const Sam& sam : kCases) {
    Pair pair(border_shapes(), {.loss_scale = 16.0, .zero_grad = true});
    for (int step = 1; step <= 3; ++step) {
      pair.both([&](Model& model, Optimizer& optimizer) {
        model.draw_finite_gradients(step);
        if (step == 2) spoil(model, 12, 9002, kNaN);
        optimizer.perturb(sam);
      });
      for (std::size_t t = 0; t < pair.cpu.size(); ++t) {
        EXPECT_TRUE(equal_bits(pair.cpu.value(t).read(), pair.gpu.value(t).read())) << t;
        EXPECT_TRUE(equal_bits(pair.cpu.grad(t).read(), pair.gpu.grad(t).read())) << t;
      }
      pair.both([&](Model& model, Optimizer& optimizer) {
        model.draw_finite_gradients(100 + step);
        if (step % 2 == 0) optimizer.restore();
        optimizer.step();
      });
      pair.expect_same();
    }
  }
}

TEST_F(CudaPerturb, MicroBatchesHaveTheBitsOfTheCpu) {
  Pair pair(tensors(20), {}, {.accumulates_gradients = true});
  for (int step = 1; step <= 3; ++step) {
    for (const int pass : {0, 1}) {
      pair.both([&](Model& model, Optimizer& optimizer) {
        for (int batch = 0; batch < 2; ++batch) {
          model.draw_finite_gradients(10 * step + 2 * pass + batch);
          optimizer.accumulate({.weight = 1.0 + batch});
        }
        pass == 0 ? optimizer.perturb({.rho = 1.0}) : optimizer.step();
      });
      for (std::size_t t = 0; t < pair.cpu.size(); ++t) {
        EXPECT_TRUE(equal_bits(pair.cpu.value(t).read(), pair.gpu.value(t).read())) << t;
      }
    }
    pair.expect_same();
  }
}

TEST_F(CudaPerturb, CopiesHaveTheBitsOfTheCpuAndComeBack) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    std::vector<Bytes> after;
    for (const Device device : {Device::cpu(), kGpu}) {
      Model model({{.numel = 1100}, {.numel = 5, .value_misalignment = 1}}, device);
      std::vector<Parameter> parameters = model.parameters();
      std::vector<FormatBuffer> copies;
      for (std::size_t t = 0; t < 2; ++t) {
        copies.emplace_back(device, dtype, model.shape(t).numel, static_cast<int>(t));
        copies.back().write(std::vector<float>(static_cast<std::size_t>(model.shape(t).numel), 7.0f));
        parameters[t].copy = copies.back().tensor();
      }
      Optimizer optimizer(SGD{}, parameters);
      model.draw_finite_gradients(1);
      const Bytes before = copies[0].bytes();
      optimizer.perturb({.rho = 3.0});
      for (const FormatBuffer& copy : copies) after.push_back(copy.bytes());
      EXPECT_NE(before, after.back());
      optimizer.restore();
      EXPECT_EQ(before, copies[0].bytes());
      EXPECT_TRUE(copies[0].intact() && copies[1].intact());
    }
    EXPECT_EQ(after[0], after[2]);
    EXPECT_EQ(after[1], after[3]);
  }
}

TEST_F(CudaPerturb, MeasuresOfShardsHaveTheBitsOfTheCpu) {
  for (const Sam& sam : kCases) {
    Pair pair(border_shapes(), {});
    const Words cpu(Device::cpu(), 22), gpu(kGpu, 22);
    for (int step = 1; step <= 3; ++step) {
      pair.both([&](Model& model, Optimizer&) {
        model.draw_finite_gradients(step);
        if (step == 2) spoil(model, 12, 9002, kNaN);
      });
      pair.wanted.measure_perturbation(sam, cpu.tensor());
      pair.actual.measure_perturbation(sam, gpu.tensor());
      ASSERT_EQ(cpu.read(), gpu.read());
      for (const Words* words : {&cpu, &gpu}) {
        std::vector<std::int64_t> doubled = words->read();
        for (std::int64_t& word : doubled) word *= 2;
        words->write(doubled);
      }
      pair.wanted.perturb_measured(sam, cpu.tensor());
      pair.actual.perturb_measured(sam, gpu.tensor());
      pair.expect_same();
      pair.both([&](Model&, Optimizer& optimizer) { optimizer.restore(); });
      pair.expect_same();
    }
  }
}

TEST_F(CudaPerturb, LaunchesDoNotDependOnTheNumberOfTensors) {
  for (const int count : {1, 200}) {
    Model model(tensors(count), kGpu);
    Optimizer optimizer(Pair::rules(), model.parameters());
    optimizer.perturb({});
    optimizer.restore();
    const Words words(kGpu, 22);
    synchronize(kGpu);
    const CudaStream stream;
    const auto launches = [&](auto work) {
      const CapturedGraph graph(stream, [&] { work(); });
      EXPECT_EQ(graph.kernel_nodes(), graph.node_count());
      return graph.node_count();
    };
    EXPECT_EQ(launches([&] { optimizer.perturb({}, stream); }), 2);
    EXPECT_EQ(launches([&] { optimizer.restore(stream); }), 1);
    EXPECT_EQ(launches([&] { optimizer.measure_perturbation({}, words.tensor(), stream); }), 2);
    EXPECT_EQ(launches([&] { optimizer.perturb_measured({}, words.tensor(), stream); }), 2);
    EXPECT_EQ(launches([&] { optimizer.step(stream); }), 3);  // restore, prepare and the update
    EXPECT_EQ(launches([&] { optimizer.step(stream); }), 2);
  }
}

TEST_F(CudaPerturb, ReplaysHaveTheBitsOfTheCpu) {
  Pair pair(tensors(20), {});
  pair.both([](Model&, Optimizer& optimizer) {
    optimizer.perturb({});
    optimizer.restore();
  });
  synchronize(kGpu);
  const CudaStream stream;
  const Sam sam{.rho = 3.0};
  const CapturedGraph first(stream, [&] { pair.actual.perturb(sam, stream); });
  const CapturedGraph second(stream, [&] {
    pair.actual.restore(stream);
    pair.actual.step(stream);
  });
  for (int replay = 1; replay <= 3; ++replay) {
    pair.both([&](Model& model, Optimizer&) { model.draw_finite_gradients(replay); });
    synchronize(kGpu);
    pair.wanted.perturb(sam);
    first.replay(stream);
    first.replay(stream);  // does nothing: the parameters are moved already
    stream.wait();
    for (std::size_t t = 0; t < pair.cpu.size(); ++t) {
      EXPECT_TRUE(equal_bits(pair.cpu.value(t).read(), pair.gpu.value(t).read())) << t;
    }
    pair.both([&](Model& model, Optimizer&) { model.draw_finite_gradients(100 + replay); });
    synchronize(kGpu);
    pair.wanted.step();
    second.replay(stream);
    stream.wait();
    pair.expect_same();
  }
  // Without a perturbation, a replay of restore() does not bring old parameters back.
  pair.both([&](Model& model, Optimizer&) { model.draw_finite_gradients(200); });
  synchronize(kGpu);
  pair.wanted.step();
  second.replay(stream);
  stream.wait();
  pair.expect_same();
}

TEST_F(CudaPerturb, ACaptureBeforeTheFirstCallIsRefused) {
  Model model(border_shapes(), kGpu);
  Optimizer optimizer(Pair::rules(), model.parameters());
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] {
    EXPECT_TRUE(refused([&] { optimizer.perturb({}, stream); }, {"perturb()", "captured", "before"}));
    optimizer.zero_grad(stream);
  });
  optimizer.perturb({}, stream);
  stream.wait();
}

/// Bytes an element, and per chunk, of the kernel whose name has this part.
KernelWork work_of_sam(const FormatCase& format, const Sam& sam, const std::string& kernel,
                       const GradientHandling& handling = {}) {
  return work_of(
      [&](std::int64_t numel) -> std::function<void()> {
        const auto model = std::make_shared<FormatModel>(format, kGpu, std::vector<std::int64_t>{numel});
        const auto optimizer = std::make_shared<Optimizer>(
            SGD{}, model->parameters(),
            Options{.chunk_size = 4096, .storage = format.low(), .float32_storage = format.wide()});
        optimizer->perturb(sam);
        optimizer->restore();
        optimizer->set_gradient_handling(handling);
        std::vector<float> gradient(static_cast<std::size_t>(numel));
        for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = static_cast<float>(uniform(i) - 0.5);
        model->grad(0).write(gradient);
        return [model, optimizer, sam] {
          optimizer->perturb(sam);
          optimizer->restore();
        };
      },
      kernel);
}

/// Bytes of what completes a parameter to its master.
double rest_of(const FormatCase& format) {
  constexpr double kBytes[] = {0, 4, 2, 1};
  return kBytes[static_cast<std::size_t>(format.storage.master)];
}

TEST_F(CudaPerturb, MovesTheBytesOfItsStreams) {
  if (!work_is_counted()) GTEST_SKIP() << "accesses are counted by cuda_emulator alone";
  for (const char* const name : {"float32", "bf16_grad32", "bf16_master", "bf16_split", "compact"}) {
    SCOPED_TRACE(name);
    const FormatCase& format = format_case(name);
    const double p = static_cast<double>(size_of(format.param));
    const double g = static_cast<double>(size_of(format.grad));
    // ASAM measures by the numbers that training uses, and reads no more of the parameter than that.
    const double read = (format.storage.master == Master::float32 ? 0.0 : p) + rest_of(format);
    for (const Sam& sam : kCases) {
      // The sum may have one digit more with more elements: that is 8 bytes of a launch.
      const KernelWork norm = work_of_sam(format, sam, "measure_terms_kernel");
      EXPECT_NEAR(norm.bytes_read, g + (sam.adaptive ? read : 0.0), 0.01);
      EXPECT_NEAR(norm.bytes_written, 0, 0.01);
    }
    const KernelWork moved = work_of_sam(format, kCases[1], "perturb_kernel");
    EXPECT_EQ(moved.bytes_read, p + rest_of(format) + g);
    EXPECT_EQ(moved.bytes_written, 2 * p);
    EXPECT_EQ(moved.local_accesses, 0);
    const KernelWork back = work_of_sam(format, kCases[0], "restore_kernel");
    EXPECT_EQ(back.bytes_read, p);
    EXPECT_EQ(back.bytes_written, p);
  }
  const KernelWork zeroing = work_of_sam(format_case("float32"), {}, "perturb_kernel", {.zero_grad = true});
  EXPECT_EQ(zeroing.bytes_written, 2 * 4 + 4);
}

}  // namespace
}  // namespace onepass::test
