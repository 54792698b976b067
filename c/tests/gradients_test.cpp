// gradients_test.cpp - gradient handling, micro-batches, norms and loss scales reach the library.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"

namespace onepass::test {
namespace {

using ScalerHandle = Owner<onepass_shared_loss_scaler, onepass_shared_loss_scaler_destroy>;

/// The same model twice, stepped through the interface and by the library.
struct Both {
  Model model, expected;
  Handle optimizer;
  Optimizer library;

  explicit Both(bool accumulates = false, const Rule& first = SGD{})
      : optimizer(create({group_of(first.name().data()), group_of("AdamW")}, model.tensors(2),
                         options(accumulates))),
        library(std::vector<Rule>{first, AdamW{}}, expected.parameters(2),
                {.accumulates_gradients = accumulates}) {}

  void set_gradients(int step) { model.set_gradients(step), expected.set_gradients(step); }
  void step() {
    expect_ok(onepass_step(optimizer.get(), nullptr));
    library.step();
    EXPECT_EQ(model.bits(), expected.bits());
  }
  void handle(const onepass_gradient_handling& given, const GradientHandling& own) {
    expect_ok(onepass_set_gradient_handling(optimizer.get(), &given, nullptr));
    library.set_gradient_handling(own);
  }
  std::string refusal_of(const onepass_gradient_handling& given) {
    return refusal(onepass_set_gradient_handling(optimizer.get(), &given, nullptr));
  }
  [[nodiscard]] std::int64_t skipped() const {
    std::int64_t steps = -1;
    expect_ok(onepass_skipped_steps(optimizer.get(), nullptr, &steps));
    EXPECT_EQ(steps, library.skipped_steps());
    return steps;
  }

 private:
  static const onepass_options* options(bool accumulates) {
    static const onepass_options with{.size = sizeof with, .accumulates_gradients = 1};
    return accumulates ? &with : nullptr;
  }
};

TEST(CGradients, ClippingByNormAndValueHasTheBitsOfTheLibrary) {
  for (const std::int32_t type : {ONEPASS_NORM_L1, ONEPASS_NORM_L2, ONEPASS_NORM_INFINITY}) {
    for (const std::int32_t formula : {ONEPASS_CLIP_PYTORCH, ONEPASS_CLIP_EXACT}) {
      for (const bool per_group : {false, true}) {
        Both both;
        const int exact = type == ONEPASS_NORM_L1 ? 1 : 0;
        const onepass_clip_grad_norm clip{sizeof clip, type, 0.05, formula, per_group ? 1 : 0, exact, 0};
        both.handle({.size = sizeof(onepass_gradient_handling),
                     .clip_norm = &clip,
                     .clips_value = 1,
                     .clip_value = 0.01},
                    {.clip_norm = ClipGradNorm{.max_norm = 0.05,
                                               .norm_type = static_cast<NormType>(type),
                                               .formula = static_cast<ClipFormula>(formula),
                                               .per_group = per_group,
                                               .exact = exact != 0},
                     .clip_value = 0.01});
        both.set_gradients(1);
        both.step();
        double norm = -1.0;
        expect_ok(onepass_grad_norm(both.optimizer.get(), -1, nullptr, &norm));
        EXPECT_EQ(norm, both.library.grad_norm());
        EXPECT_GT(norm, 0.05);
        if (per_group) {
          expect_ok(onepass_grad_norm(both.optimizer.get(), 1, nullptr, &norm));
          EXPECT_EQ(norm, both.library.grad_norm(1));
        }
        expect_ok(onepass_fetched_grad_norm(both.optimizer.get(), &norm));
        EXPECT_TRUE(std::isnan(norm));
        expect_ok(onepass_fetch_grad_norm(both.optimizer.get(), nullptr));
        expect_ok(onepass_fetched_grad_norm(both.optimizer.get(), &norm));
        EXPECT_EQ(norm, both.library.grad_norm());
      }
    }
  }
}

TEST(CGradients, ClippingByParameterHasTheBitsOfTheLibrary) {
  for (const std::int32_t type : {ONEPASS_NORM_L1, ONEPASS_NORM_L2, ONEPASS_NORM_INFINITY}) {
    Both both;
    const onepass_clip_grad_norm clip{sizeof clip, type, 0.05, ONEPASS_CLIP_PYTORCH, 0, 0, 1};
    const ClipGradNorm same{
        .max_norm = 0.05, .norm_type = static_cast<NormType>(type), .per_parameter = true};
    both.handle({.size = sizeof(onepass_gradient_handling), .clip_norm = &clip}, {.clip_norm = same});
    onepass_gradient_handling read{.size = sizeof read};
    expect_ok(onepass_get_gradient_handling(both.optimizer.get(), &read));
    EXPECT_EQ(read.clip_norm->per_parameter, 1);
    both.set_gradients(1);
    both.step();
    EXPECT_EQ(both.model.bits(), both.expected.bits());
    for (const Parameter& parameter : both.expected.parameters()) {
      double norm = -1.0;
      expect_ok(onepass_parameter_grad_norm(both.optimizer.get(), parameter.name.c_str(), nullptr, &norm));
      EXPECT_EQ(norm, both.library.grad_norm(parameter.name));
    }
    double norm = -1.0;
    EXPECT_EQ(refusal(onepass_parameter_grad_norm(both.optimizer.get(), "none", nullptr, &norm)),
              "onepass: Optimizer: there is no parameter \"none\"");
    EXPECT_EQ(refusal(onepass_parameter_grad_norm(both.optimizer.get(), nullptr, nullptr, &norm)),
              "onepass: parameter is null");
    EXPECT_EQ(norm, -1.0);
  }
}

TEST(CGradients, MeasuresAreTakenAndStepAsInTheLibrary) {
  for (const std::int32_t type : {ONEPASS_NORM_L2, ONEPASS_NORM_INFINITY}) {
    Both both;
    const onepass_clip_grad_norm clip{sizeof clip, type, 0.05, ONEPASS_CLIP_PYTORCH, 1, 0, 0};
    both.handle({.size = sizeof(onepass_gradient_handling), .clip_norm = &clip},
                {.clip_norm = ClipGradNorm{
                     .max_norm = 0.05, .norm_type = static_cast<NormType>(type), .per_group = true}});
    both.set_gradients(1);
    std::int64_t numel = -1;
    expect_ok(onepass_measure_numel(both.optimizer.get(), &numel));
    ASSERT_EQ(numel, both.library.measure_numel());
    std::vector<std::int64_t> words(static_cast<std::size_t>(numel), -1), expected(words);
    expect_ok(onepass_measure(both.optimizer.get(), words.data(), numel, nullptr));
    const Tensor measure{expected.data(), DType::int64, numel};
    both.library.measure(measure);
    EXPECT_EQ(expected, words);
    for (std::int64_t& word : words) word *= 2;
    for (std::int64_t& word : expected) word *= 2;
    expect_ok(onepass_step_measured(both.optimizer.get(), words.data(), numel, nullptr));
    both.library.step_measured(measure);
    double norm = -1.0;
    expect_ok(onepass_grad_norm(both.optimizer.get(), -1, nullptr, &norm));
    EXPECT_EQ(norm, both.library.grad_norm());
    EXPECT_EQ(both.model.bits(), both.expected.bits());
    EXPECT_NE(refusal(onepass_measure(both.optimizer.get(), words.data(), numel - 1, nullptr)), "");
    EXPECT_NE(refusal(onepass_step_measured(both.optimizer.get(), nullptr, numel, nullptr)), "");
  }
}

TEST(CGradients, SumsAreTakenAndStepAsInTheLibrary) {
  for (const bool measures : {false, true}) {
    Both both(false, LAMB{});
    const onepass_clip_grad_norm clip{sizeof clip, ONEPASS_NORM_L2, 0.05, ONEPASS_CLIP_PYTORCH, 0, 0, 0};
    if (measures) {
      both.handle({.size = sizeof(onepass_gradient_handling), .clip_norm = &clip},
                  {.clip_norm = ClipGradNorm{.max_norm = 0.05}});
    }
    both.set_gradients(1);
    std::int64_t numel = -1;
    expect_ok(onepass_sums_numel(both.optimizer.get(), &numel));
    ASSERT_EQ(numel, both.library.sums_numel());
    std::vector<std::int64_t> measure(measures ? 22 : 0), sums(static_cast<std::size_t>(numel), -1),
        expected(sums);
    const Tensor of_library{expected.data(), DType::int64, numel};
    const auto count = static_cast<std::int64_t>(measure.size());
    if (measures) {
      expect_ok(onepass_measure(both.optimizer.get(), measure.data(), count, nullptr));
      const Tensor given{measure.data(), DType::int64, count};
      both.library.begin_step(given, of_library);
    } else {
      both.library.begin_step(of_library);
    }
    expect_ok(onepass_begin_step(both.optimizer.get(), measures ? measure.data() : nullptr, count,
                                 sums.data(), numel, nullptr));
    EXPECT_EQ(expected, sums);
    EXPECT_NE(refusal(onepass_step(both.optimizer.get(), nullptr)), "");
    EXPECT_NE(refusal(onepass_finish_step(both.optimizer.get(), sums.data(), numel - 1, nullptr)), "");
    expect_ok(onepass_finish_step(both.optimizer.get(), sums.data(), numel, nullptr));
    both.library.finish_step(of_library);
    EXPECT_EQ(both.model.bits(), both.expected.bits());
  }
}

TEST(CGradients, PartsOfARoundStepAsInTheLibrary) {
  Both both;
  both.set_gradients(1);
  const auto count = static_cast<std::int64_t>(both.library.parameter_count());
  for (std::int64_t i = count - 1; i >= 0; --i) {
    expect_ok(onepass_step_some(both.optimizer.get(), &i, 1, nullptr));
    both.library.step_some(std::vector{static_cast<std::size_t>(i)});
  }
  EXPECT_NE(refusal(onepass_step(both.optimizer.get(), nullptr)), "");
  expect_ok(onepass_end_round(both.optimizer.get(), nullptr));
  both.library.end_round();
  EXPECT_EQ(both.model.bits(), both.expected.bits());
  both.set_gradients(2);
  both.step();
  for (const std::int64_t bad : {std::int64_t{-1}, count}) {
    EXPECT_NE(refusal(onepass_step_some(both.optimizer.get(), &bad, 1, nullptr)), "");
  }
  EXPECT_NE(refusal(onepass_step_some(both.optimizer.get(), nullptr, 1, nullptr)), "");
}

TEST(CGradients, AClipOfAnOlderProgramIsNotExact) {
  Both both;
  onepass_clip_grad_norm clip{.max_norm = 0.5, .exact = 7};
  clip.size = offsetof(onepass_clip_grad_norm, exact);
  both.handle({.size = sizeof(onepass_gradient_handling), .clip_norm = &clip},
              {.clip_norm = ClipGradNorm{.max_norm = 0.5, .norm_type = NormType::l1}});
  both.set_gradients(1);
  both.step();
}

TEST(CGradients, ALossScalerBacksOffAndGrowsAsInTheLibrary) {
  Both both;
  const onepass_loss_scaler scaler{.size = sizeof scaler, .init_scale = 8, .growth_interval = 2};
  both.handle({.size = sizeof(onepass_gradient_handling), .loss_scaler = &scaler},
              {.loss_scaler = LossScaler{.init_scale = 8, .growth_interval = 2}});
  for (int i = 0; i < 6; ++i) {
    both.set_gradients(i);
    if (i == 2) both.model.grads[1][3] = both.expected.grads[1][3] = std::numeric_limits<float>::infinity();
    both.step();
    float scale = 0.0f;
    expect_ok(onepass_loss_scale(both.optimizer.get(), nullptr, &scale));
    EXPECT_EQ(scale, both.library.loss_scale());
    const float* pointer = nullptr;
    expect_ok(onepass_loss_scale_pointer(both.optimizer.get(), &pointer));
    EXPECT_EQ(*pointer, scale);
  }
  EXPECT_EQ(both.skipped(), 1);
}

TEST(CGradients, PointersOfAScalerOfTheCallersAreRead) {
  Both both;
  float found_inf = 0.0f, grad_scale = 4.0f;
  both.handle({.size = sizeof(onepass_gradient_handling), .found_inf = &found_inf, .grad_scale = &grad_scale},
              {.found_inf = &found_inf, .grad_scale = &grad_scale});
  both.set_gradients(1);
  both.step();
  found_inf = 1.0f;
  both.step();
  EXPECT_EQ(both.skipped(), 1);
}

TEST(CGradients, ASharedScalerServesSeveralOptimizers) {
  ScalerHandle scaler;
  const onepass_loss_scaler settings{.size = sizeof settings, .init_scale = 16};
  expect_ok(onepass_shared_loss_scaler_create(ONEPASS_CPU, &settings, &scaler));
  Both first, second;
  SharedLossScaler own(Device::cpu(), {.init_scale = 16});
  const onepass_gradient_handling shared{.size = sizeof shared, .shared_scaler = scaler};
  first.handle(shared, {.shared_scaler = &own});
  second.handle(shared, {.shared_scaler = &own});
  first.set_gradients(1), second.set_gradients(2);
  first.model.grads[0][0] = first.expected.grads[0][0] = std::nanf("");
  first.step();
  second.step();
  expect_ok(onepass_shared_loss_scaler_update(scaler, nullptr));
  own.update();
  EXPECT_EQ(*onepass_shared_loss_scaler_pointer(scaler), 8.0f);
  float scale = 0.0f;
  std::int64_t tracker = -1;
  expect_ok(onepass_shared_loss_scaler_state(scaler, nullptr, &scale, &tracker));
  EXPECT_EQ((SharedLossScaler::State{scale, tracker}), own.state());
  expect_ok(onepass_shared_loss_scaler_load(scaler, 32.0f, 5, nullptr));
  expect_ok(onepass_shared_loss_scaler_state(scaler, nullptr, &scale, &tracker));
  EXPECT_EQ(scale, 32.0f);
  EXPECT_EQ(tracker, 5);
  EXPECT_NE(refusal(onepass_shared_loss_scaler_load(scaler, -1.0f, 0, nullptr)), "");

  onepass_gradient_handling read{.size = sizeof read};
  expect_ok(onepass_get_gradient_handling(first.optimizer.get(), &read));
  EXPECT_EQ(read.shared_scaler, scaler.handle);
}

TEST(CGradients, TheHandlingIsReadAsItWasSet) {
  Both both;
  const onepass_clip_grad_norm clip{sizeof clip, ONEPASS_NORM_L2, 3.0, ONEPASS_CLIP_EXACT, 1};
  const onepass_loss_scaler scaler{sizeof scaler, 0, 1024, 4, 0.25, 10, 1, 4096};
  const onepass_gradient_handling given{.size = sizeof given,
                                        .nonfinite = ONEPASS_NONFINITE_ERROR,
                                        .clip_norm = &clip,
                                        .loss_scaler = &scaler,
                                        .clips_value = 1,
                                        .zero_grad = 1,
                                        .clip_value = 0.5};
  expect_ok(onepass_set_gradient_handling(both.optimizer.get(), &given, nullptr));
  onepass_gradient_handling read{.size = sizeof read};
  expect_ok(onepass_get_gradient_handling(both.optimizer.get(), &read));
  EXPECT_EQ(read.nonfinite, ONEPASS_NONFINITE_ERROR);
  EXPECT_EQ(read.zero_grad, 1);
  EXPECT_EQ(read.clips_value, 1);
  EXPECT_EQ(read.clip_value, 0.5);
  EXPECT_EQ(read.loss_scale, 1.0);
  ASSERT_NE(read.clip_norm, nullptr);
  EXPECT_EQ(read.clip_norm->norm_type, ONEPASS_NORM_L2);
  EXPECT_EQ(read.clip_norm->max_norm, 3.0);
  EXPECT_EQ(read.clip_norm->formula, ONEPASS_CLIP_EXACT);
  EXPECT_EQ(read.clip_norm->per_group, 1);
  ASSERT_NE(read.loss_scaler, nullptr);
  EXPECT_EQ(read.loss_scaler->init_scale, 1024);
  EXPECT_EQ(read.loss_scaler->growth_factor, 4);
  EXPECT_EQ(read.loss_scaler->backoff_factor, 0.25);
  EXPECT_EQ(read.loss_scaler->growth_interval, 10);
  EXPECT_EQ(read.loss_scaler->min_scale, 1);
  EXPECT_EQ(read.loss_scaler->max_scale, 4096);
  EXPECT_EQ(read.shared_scaler, nullptr);

  const onepass_gradient_handling none{.size = sizeof none};
  expect_ok(onepass_set_gradient_handling(both.optimizer.get(), &none, nullptr));
  expect_ok(onepass_get_gradient_handling(both.optimizer.get(), &read));
  EXPECT_EQ(read.clip_norm, nullptr);
  EXPECT_EQ(read.loss_scaler, nullptr);
  EXPECT_EQ(read.clips_value, 0);
}

TEST(CGradients, CheckNamesTheElementThatIsNotFinite) {
  Both both;
  const onepass_gradient_handling error{.size = sizeof error, .nonfinite = ONEPASS_NONFINITE_ERROR};
  both.handle(error, {.nonfinite = NonFinite::error});
  both.set_gradients(1);
  both.step();
  expect_ok(onepass_check(both.optimizer.get(), nullptr));
  both.model.grads[1][3] = both.expected.grads[1][3] = std::nanf("");
  both.step();
  EXPECT_EQ(onepass_check(both.optimizer.get(), nullptr), ONEPASS_NONFINITE_GRADIENT);
  EXPECT_NE(std::string(onepass_last_error()).find("tensor 1"), std::string::npos) << onepass_last_error();
  expect_ok(onepass_check(both.optimizer.get(), nullptr));
}

TEST(CGradients, MicroBatchesAreAveragedByWeight) {
  Both both(true);
  const onepass_micro_batch heavy{.size = sizeof heavy, .weight = 3.0};
  both.set_gradients(1);
  expect_ok(onepass_accumulate(both.optimizer.get(), nullptr, nullptr));
  both.library.accumulate();
  both.set_gradients(2);
  expect_ok(onepass_accumulate(both.optimizer.get(), &heavy, nullptr));
  both.library.accumulate({.weight = 3.0});
  both.step();

  const onepass_micro_batch dropping{.size = sizeof dropping, .drop_nonfinite = 1, .weight = 1.0};
  both.model.grads[0][0] = both.expected.grads[0][0] = std::nanf("");
  expect_ok(onepass_accumulate(both.optimizer.get(), &dropping, nullptr));
  std::int64_t dropped = -1;
  expect_ok(onepass_dropped_micro_batches(both.optimizer.get(), nullptr, &dropped));
  EXPECT_EQ(dropped, 1);
  both.set_gradients(3);
  expect_ok(onepass_accumulate(both.optimizer.get(), nullptr, nullptr));
  expect_ok(onepass_drop_accumulated(both.optimizer.get(), nullptr));
  const Model before = both.model;
  expect_ok(onepass_step(both.optimizer.get(), nullptr));
  EXPECT_EQ(both.model.bits(), before.bits());
}

TEST(CGradients, ThePenaltyIsTheLibrarys) {
  Model model, expected;
  const std::vector<onepass_setting> settings{{"weight_decay", 0.1, nullptr}, {"l1", 0.01, nullptr}};
  const Handle optimizer = create({group_of("SGD", settings)}, model.tensors());
  SGD rule{};
  rule.weight_decay = 0.1, rule.l1 = 0.01;
  const Optimizer library(rule, expected.parameters());
  double penalty = -1.0;
  expect_ok(onepass_penalty(optimizer.get(), nullptr, &penalty));
  EXPECT_EQ(penalty, library.penalty());
  EXPECT_GT(penalty, 0.0);
}

TEST(CGradients, ZeroGradFillsTheGradients) {
  Both both;
  both.set_gradients(3);
  expect_ok(onepass_zero_grad(both.optimizer.get(), nullptr));
  for (const auto& grad : both.model.grads) EXPECT_EQ(grad, std::vector<float>(grad.size()));
}

TEST(CGradients, RefuseBadHandling) {
  Both both;
  const std::string type = "onepass_gradient_handling";
  EXPECT_EQ(refusal(onepass_set_gradient_handling(both.optimizer.get(), nullptr, nullptr)),
            "onepass: " + type + " is null");
  EXPECT_EQ(both.refusal_of({.size = sizeof(onepass_gradient_handling), .nonfinite = 3}),
            "onepass: nonfinite is 3; it must be 0 (propagate), 1 (skip) or 2 (error)");
  EXPECT_EQ(both.refusal_of({.size = sizeof(onepass_gradient_handling), .zero_grad = 2}),
            "onepass: zero_grad is 2; it must be 0 or 1");
  const onepass_clip_grad_norm clip{sizeof clip, 3, 1.0, 0, 0};
  EXPECT_EQ(both.refusal_of({.size = sizeof(onepass_gradient_handling), .clip_norm = &clip}),
            "onepass: norm_type is 3; it must be 0 (l1), 1 (l2) or 2 (infinity)");
  EXPECT_NE(both.refusal_of({.size = sizeof(onepass_gradient_handling), .loss_scale = -1.0}), "");
  EXPECT_NE(refusal(onepass_accumulate(both.optimizer.get(), nullptr, nullptr)), "");
  double norm = 7.0;
  EXPECT_EQ(refusal(onepass_grad_norm(both.optimizer.get(), -2, nullptr, &norm)),
            "onepass: group is -2; it must be 0 or more");
  EXPECT_NE(refusal(onepass_grad_norm(both.optimizer.get(), 2, nullptr, &norm)), "");
  EXPECT_EQ(norm, 7.0);
}

}  // namespace
}  // namespace onepass::test
