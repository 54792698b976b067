// same_bits_test.cpp - instruction set, threads, order of tensors, packing into optimizers and the caller's
// float environment change no bit of a step.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/sizes.hpp"
#include "support/rules.hpp"

#ifdef __SSE__
#include <immintrin.h>
#endif

namespace onepass::test {
namespace {

std::vector<Shape> mixed_shapes() {
  std::vector<Shape> shapes;
  for (const std::int64_t numel : awkward_sizes(64)) {
    const int n = static_cast<int>(shapes.size());
    shapes.push_back({.numel = numel, .value_misalignment = n % 4, .grad_misalignment = (n / 2) % 4});
  }
  shapes.push_back({.numel = 0});
  shapes.push_back({.numel = 5003, .value_misalignment = 1});
  return shapes;
}

Snapshot after_steps(const RuleCase& rule, const std::vector<Shape>& shapes, const Options& options,
                     int steps = 8) {
  Model model(shapes);
  Optimizer optimizer = rule.make(model.parameters(), options);
  train(model, optimizer, steps);
  return snapshot(model.parameters(), optimizer);
}

class SameBits : public testing::TestWithParam<RuleCase> {};

INSTANTIATE_TEST_SUITE_P(Rules, SameBits, testing::ValuesIn(rule_options()), by_name);

TEST_P(SameBits, InstructionSetDoesNotChangeABit) {
  const Snapshot baseline = after_steps(GetParam(), mixed_shapes(), {.isa = Isa::baseline});
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::best}) {
    if (isa != Isa::best && !isa_available(isa)) continue;
    EXPECT_TRUE(equal_bits(baseline, after_steps(GetParam(), mixed_shapes(), {.isa = isa})))
        << to_string(isa);
  }
}

TEST_P(SameBits, OrderOfTensorsDoesNotChangeABit) {
  std::vector<Shape> shapes = mixed_shapes();
  for (std::size_t i = 0; i < shapes.size(); ++i) shapes[i].id = static_cast<int>(i);
  const Snapshot in_order = after_steps(GetParam(), shapes, {});
  std::reverse(shapes.begin(), shapes.end());
  EXPECT_TRUE(equal_bits(in_order, after_steps(GetParam(), shapes, {})));
  std::shuffle(shapes.begin(), shapes.end(), std::mt19937(7));
  EXPECT_TRUE(equal_bits(in_order, after_steps(GetParam(), shapes, {.chunk_size = 64})));
}

TEST_P(SameBits, OneOptimizerForAllGivesTheBitsOfOneForEach) {
  if (GetParam().ties_parameters()) return;  // sums/model_sums_test.cpp
  const Snapshot together = after_steps(GetParam(), mixed_shapes(), {});
  Snapshot apart;
  const std::vector<Shape> shapes = mixed_shapes();
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    Shape alone = shapes[i];
    alone.id = static_cast<int>(i);
    apart.merge(after_steps(GetParam(), {alone}, {}));
  }
  EXPECT_TRUE(equal_bits(together, apart));
}

TEST_P(SameBits, ThreadsDoNotChangeABit) {
  const Snapshot alone = after_steps(GetParam(), mixed_shapes(), {.chunk_size = 64, .threads = 1});
  for (const int threads : {2, 3, 16}) {
    EXPECT_TRUE(
        equal_bits(alone, after_steps(GetParam(), mixed_shapes(), {.chunk_size = 64, .threads = threads})))
        << threads << " threads";
  }
}

// Small steps stay on the caller's thread. This one is large enough to wake other threads.
TEST(SameBitsLarge, ThreadsDoNotChangeABitWhenTheyShareTheWork) {
  const std::vector<Shape> shapes{{.numel = 3}, {.numel = 2500001, .grad_misalignment = 1}, {.numel = 70000}};
  for (const RuleCase& rule : rule_options()) {
    if (rule.name != "AdamW_amsgrad_decoupled" && rule.name != "SGD_plain_coupled") continue;
    const Snapshot alone = after_steps(rule, shapes, {.threads = 1}, 3);
    for (const int threads : {2, 5}) {
      EXPECT_TRUE(equal_bits(alone, after_steps(rule, shapes, {.threads = threads}, 3)))
          << rule.name << ", " << threads << " threads";
    }
  }
}

#ifdef __SSE__

constexpr unsigned kFlushToZero = 0x8000;
constexpr unsigned kDenormalsAreZero = 0x0040;

/// Steps under `mxcsr` and returns the register as the last step left it.
unsigned train_under(unsigned mxcsr, Model& model, Optimizer& optimizer, int steps) {
  const unsigned original = _mm_getcsr();
  unsigned after = mxcsr;
  for (int step = 1; step <= steps; ++step) {
    model.draw_gradients(step, 200);
    _mm_setcsr(mxcsr);
    optimizer.step();
    after = _mm_getcsr();
    _mm_setcsr(original);
  }
  return after;
}

TEST_P(SameBits, CallersFloatEnvironmentDoesNotChangeABitAndIsRestored) {
  const Snapshot wanted = after_steps(GetParam(), mixed_shapes(), {.threads = 1});
  for (const unsigned mode :
       {kFlushToZero | kDenormalsAreZero, unsigned{_MM_ROUND_UP}, unsigned{_MM_ROUND_TOWARD_ZERO}}) {
    const unsigned mxcsr = (_mm_getcsr() & ~0x3fu) | mode;
    Model model(mixed_shapes());
    Optimizer optimizer = GetParam().make(model.parameters(), {.threads = 1});
    const unsigned after = train_under(mxcsr, model, optimizer, 8);
    EXPECT_EQ(after & ~0x3fu, mxcsr & ~0x3fu);
    EXPECT_TRUE(equal_bits(wanted, snapshot(model.parameters(), optimizer))) << std::hex << mode;
  }
}

// A thread starts with the MXCSR register of the thread that created it.
TEST(SameBitsLarge, ThreadsDoNotInheritTheCallersFloatEnvironment) {
  const std::vector<Shape> shapes{{.numel = 2100001}};
  const Adam rule{.lr = 1e-3, .weight_decay = 0.1};
  Model plain(shapes);
  Optimizer wanted(rule, plain.parameters(), {.threads = 1});
  train(plain, wanted, 2);

  Model model(shapes);
  const unsigned original = _mm_getcsr();
  _mm_setcsr(original | kFlushToZero | kDenormalsAreZero);
  Optimizer optimizer(rule, model.parameters(), {.threads = 3});
  _mm_setcsr(original);
  train_under(original | kFlushToZero | kDenormalsAreZero, model, optimizer, 2);
  EXPECT_TRUE(equal_bits(snapshot(plain.parameters(), wanted), snapshot(model.parameters(), optimizer)));
}

#endif  // __SSE__

}  // namespace
}  // namespace onepass::test
