// settle_test.cpp - in every format, the states of a parameter whose gradients stay 0 never remain denormal.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <span>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

constexpr std::int64_t kCount = 100;

/// Counts the denormal numbers among the states, masters and averages of a parameter.
std::size_t denormals(const StateDict& dict) {
  std::size_t count = 0;
  for (const SavedState& state : dict.parameters[0].states) {
    if (state.name == "remainder") continue;
    for (const float x : decoded_state(state, kCount)) count += std::fpclassify(x) == FP_SUBNORMAL ? 1 : 0;
  }
  return count;
}

/// Rules whose averages fall below 2^-126 within the test. With a decay of 0.9 that takes about 830 steps.
std::vector<Rule> quick_rules() {
  return {SGD{.lr = 0.01, .momentum = 0.9},
          SGD{.lr = 0.01, .momentum = 0.5, .weight_decay = 9, .weight_decay_mode = WeightDecay::decoupled},
          RMSProp{.lr = 1e-3, .alpha = 0.9, .momentum = 0.8},
          RMSProp{.lr = 1e-3, .alpha = 0.9, .momentum = 0.8, .centered = true},
          AdamW{.lr = 0.1, .beta2 = 0.9, .weight_decay = 0.9},
          Adam{.lr = 1e-3, .beta2 = 0.9, .amsgrad = true}};
}

TEST(SettleFormats, NoStateIsDenormalWhileGradientsAreZero) {
  for (const FormatCase& format : all_format_cases()) {
    for (const Rule& rule : quick_rules()) {
      SCOPED_TRACE(testing::Message() << rule.name() << " in " << format.name);
      const FormatModel model(format, Device::cpu(), {kCount});
      Optimizer optimizer(
          rule, model.parameters(),
          {.storage = format.low(), .float32_storage = format.wide(), .seed = 3, .ema = EMA{.decay = 0.9}});
      for (int step = 1; step <= 5; ++step) {
        model.draw_finite(step);
        optimizer.step();
      }
      model.grad(0).write(std::vector<float>(kCount, 0.0f));
      std::size_t most = 0;
      for (int step = 0; step < 2000; ++step) {
        optimizer.step();
        // States of 8 bits may be denormal between two steps that settle, because the codes of a block are
        // spread over many magnitudes.
        if (format.storage.states == States::quantized8 && (5 + step + 1) % 16 != 0) continue;
        most = std::max(most, denormals(optimizer.state_dict()));
      }
      EXPECT_EQ(most, 0u);
      EXPECT_EQ(denormals(optimizer.state_dict()), 0u);
    }
  }
}

// A variant without states uses the loop of another format, or of none.
TEST(SettleFormats, ParametersOfARuleWithoutStatesSettleInEveryFormatByEveryInstructionSet) {
  const SGD rule{.lr = 0.01, .weight_decay = 0.1, .weight_decay_mode = WeightDecay::decoupled};
  for (const FormatCase& format : all_format_cases()) {
    if (format.param == DType::float16) continue;  // has no numbers that small
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
      if (!isa_available(isa)) continue;
      SCOPED_TRACE(testing::Message() << format.name << " by " << to_string(isa));
      const FormatModel model(format, Device::cpu(), {kCount});
      model.value(0).write(std::vector<float>(kCount, 0x1p-110f));
      model.grad(0).write(std::vector<float>(kCount, 0.0f));
      Optimizer optimizer(rule, model.parameters(),
                          {.isa = isa, .storage = format.low(), .float32_storage = format.wide()});
      for (int step = 1; step <= 15; ++step) optimizer.step();
      EXPECT_NE(model.value(0).floats(), std::vector<float>(kCount, 0.0f));
      optimizer.step();
      EXPECT_EQ(model.value(0).floats(), std::vector<float>(kCount, 0.0f));
    }
  }
}

// Every other element is live, with gradients so small that its state lies far below the others' threshold.
TEST(SettleFormats, StepSixteenSettlesDeadElementsAloneAndBeforeTheRule) {
  std::vector<float> p(40, 1.0f), grad(40), zero(40, 0.0f);
  for (std::size_t i = 0; i < grad.size(); ++i) grad[i] = i % 2 == 0 ? 1e-34f : 0.0f;
  std::vector<float> first(40, 1e-20f);
  Optimizer momentum(SGD{.lr = 0.5, .momentum = 0.5},
                     std::vector<Parameter>{{.name = "w", .value = p, .grad = first}});
  std::vector<float> q(40, 1.0f);
  Optimizer rmsprop(RMSProp{.lr = 0.5, .alpha = 0.5},
                    std::vector<Parameter>{{.name = "w", .value = q, .grad = first}});
  momentum.step(), rmsprop.step();
  const Tensor later = grad, dead = zero;
  momentum.set_gradients(std::span(&later, 1)), rmsprop.set_gradients(std::span(&dead, 1));
  float live = 1e-20f;
  for (int step = 2; step <= 80; ++step) {
    momentum.step(), rmsprop.step();
    live = std::fmaf(0.5f, live, 1e-34f);
  }
  const auto* const buffer = static_cast<const float*>(momentum.state("w", "momentum_buffer").data);
  const auto* const square = static_cast<const float*>(rmsprop.state("w", "square_avg").data);
  for (std::size_t i = 0; i < p.size(); ++i) {
    EXPECT_EQ(buffer[i], i % 2 == 0 ? live : 0.0f) << i;
    EXPECT_EQ(square[i], 0x1p-121f) << "raised to 2^-120, then halved by the rule";
  }
}

}  // namespace
}  // namespace onepass::test
