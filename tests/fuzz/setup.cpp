// setup.cpp - see setup.hpp.
#include "fuzz/setup.hpp"

#include <string_view>
#include <utility>

#include "onepass/storage/formats.hpp"

namespace onepass::fuzz {
namespace {

/// Returns a usual value of a number by its name.
double usual(Draw& draw, std::string_view name) {
  if (name == "lr") return draw.pick({0.0, 1e-4, 0.01, 0.3});
  if (name == "eps") return draw.pick({1e-8, 1e-6, 1e-3});
  if (name == "alpha") return draw.pick({0.5, 0.9, 0.99});
  // With 0 the average of the reference cancels: float64 is not enough for (old - old) + new.
  // States of 8 bits refuse a longer first moment.
  if (name == "beta1") return draw.pick({0.1, 0.5, 0.9, 0.99});
  if (name == "beta2_decay") return draw.pick({-1.0, -0.8, -0.5});  // with 0 as for beta1
  if (name == "rho") return draw.pick({0.1, 0.5, 0.9});
  if (name == "beta3") return draw.pick({0.1, 0.5, 0.9, 0.99});
  if (name == "beta2") return draw.pick({0.1, 0.5, 0.9, 0.99});  // of Adan a signed average
  if (name == "momentum") return draw.pick({0.0, 0.5, 0.9});
  if (name == "dampening") return draw.pick({0.0, 0.3});
  if (name == "weight_decay") return draw.pick({0.0, 1e-8, 0.01, 0.4});
  return draw.pick({0.0, 1e-5, 0.1});
}

Rule draw_rule(Draw& draw) {
  for (;;) {
    Rule rule = library_rules()[draw.below(library_rules().size())];
    try {
      for (int change = 0; change < 5; ++change) change_rule(draw, rule, false);
      rule.check();
      return rule;
    } catch (const InvalidArgument&) {  // Some contradict each other; the next ones may not.
    }
  }
}

/// Draws the storage of 16-bit parameters.
Storage draw_storage(Draw& draw) {
  const storage::FormatName& format = storage::kFormatNames[draw.below(storage::kFormatNames.size())];
  return {.master = format.master,
          .states = format.states,
          .rounding = draw.chance(0.5) ? Rounding::stochastic : Rounding::nearest};
}

/// Returns the types of 16 bits that have this storage.
std::vector<DType> low_types(const Storage& storage) {
  std::vector<DType> types;
  for (const storage::FormatName& format : storage::kFormatNames) {
    const bool fits = format.master == storage.master && format.states == storage.states;
    if (fits && format.param != DType::float32) types.push_back(format.param);
  }
  return types;
}

/// Returns a shape of this many elements.
std::vector<std::int64_t> draw_shape(Draw& draw, std::int64_t numel) {
  std::vector<std::int64_t> shape{numel};
  for (const std::int64_t size :
       {draw.pick<std::int64_t>({1, 2, 5, 8, 31, 32}), draw.pick<std::int64_t>({1, 2, 11})}) {
    if (shape[0] % size != 0 || draw.chance(0.2)) continue;
    shape[0] /= size;
    shape.push_back(size);
  }
  return shape;
}

}  // namespace

TensorPlan draw_tensor(Draw& draw, const Setup& setup, std::string name) {
  TensorPlan plan{.name = std::move(name), .group = draw.below(setup.rules.size())};
  plan.numel = draw.pick<std::int64_t>({0, 1, 7, 31, 32, 33, 64, 65, 127, 200, 257});
  if (draw.chance(0.02)) plan.numel = 5000;
  if (draw.chance(0.4)) plan.first = draw.pick<std::int64_t>({1, 20, 31, 32, 33, 1000});
  const auto run = draw.pick<std::int64_t>({0, 0, 0, 1, 2, 5, 8, 11, 16, 31, 64});
  if (run > 0 && plan.numel % run == 0) {
    plan.run = run;
    plan.pitch = run + draw.pick<std::int64_t>({0, 1, 24, 32, 90});
  }
  if (plan.first == 0 && plan.run == 0 && draw.chance(0.6)) plan.shape = draw_shape(draw, plan.numel);
  const std::vector<DType> low = low_types(setup.options.storage);
  if (setup.options.storage != Storage{} && draw.chance(0.7)) {
    plan.dtype = low[draw.below(low.size())];
    if (draw.chance(0.5)) plan.grad_dtype = plan.dtype;
  } else if (draw.chance(0.2)) {
    plan.has_copy = true;
    plan.copy_dtype = draw.pick({DType::bfloat16, DType::float16});
  }
  return plan;
}

Options same_result(Draw& draw, Options options) {
  options.threads = draw.pick({1, 2, 3});
  options.chunk_size = draw.pick<std::int64_t>({0, 64, 128, 192});
  do {
    options.isa = draw.pick({Isa::best, Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16});
  } while (options.isa != Isa::best && !isa_available(options.isa));
  return options;
}

Setup draw_setup(Draw& draw) {
  Setup setup;
  setup.wild = draw.chance(0.2);
  const std::size_t groups = 1 + draw.below(4);
  while (setup.rules.size() < groups) setup.rules.push_back(draw_rule(draw));
  if (draw.chance(0.4)) setup.options.storage = draw_storage(draw);
  setup.options.seed = draw.bits();
  setup.options.accumulates_gradients = draw.chance(0.4);
  if (draw.chance(0.3)) {
    const bool corrects = draw.chance(0.3);
    setup.options.ema = EMA{.decay = draw.pick({0.0, 0.5, 0.99, 1.0}),
                            .warmup = !corrects && draw.chance(0.3),
                            .bias_correction = corrects,
                            .dtype = draw.pick({DType::float32, DType::bfloat16})};
  }
  const std::size_t tensors = 1 + draw.below(6);
  for (std::size_t i = 0; i < tensors; ++i) {
    setup.tensors.push_back(draw_tensor(draw, setup, "p" + std::to_string(i)));
  }
  if (setup.options.storage != Storage{}) {
    setup.tensors[0].dtype = low_types(setup.options.storage).front();
    setup.tensors[0].grad_dtype = DType::float32;
    setup.tensors[0].has_copy = false;
  }
  return setup;
}

void change_rule(Draw& draw, Rule& rule, bool wild) {
  const Hyperparameter& one = rule.hyperparameters()[draw.below(rule.hyperparameters().size())];
  switch (one.kind) {
    case Hyperparameter::Kind::flag:
      return rule.set(one.name, draw.chance(0.5) ? 1.0 : 0.0);
    case Hyperparameter::Kind::choice:
      return rule.set(one.name, static_cast<double>(draw.below(one.choices.size())));
    default:
      rule.set(one.name, wild && draw.chance(0.3) ? draw.odd()
                         : draw.chance(0.02)      ? draw.forbidden()
                                                  : usual(draw, one.name));
  }
}

double draw_lr(Draw& draw, bool wild) {
  if (draw.chance(0.1)) return wild ? draw.odd() : draw.forbidden();
  return draw.pick({0.0, 1e-5, 0.02, 0.2});
}

namespace {

/// Returns a sequence or a chain.
Schedule draw_composed(Draw& draw, bool wild, int depth, std::int64_t steps, double share) {
  const Schedule inner = draw_schedule(draw, wild, depth);
  if (draw.chance(0.5)) {
    return SequentialLR{.schedules = {WarmUp{.steps = steps, .start_factor = share}, inner},
                        .milestones = {steps}};
  }
  return ChainedScheduler{
      .schedules = {inner,
                    WarmupStableDecay{
                        .warmup_steps = steps, .stable_steps = 2, .decay_steps = 5, .start_factor = share}}};
}

}  // namespace

Schedule draw_schedule(Draw& draw, bool wild, int depth) {
  const std::int64_t steps = draw.chance(0.05) ? draw.odd_count() : draw.pick<std::int64_t>({1, 2, 3, 10});
  const double share = draw.chance(0.05) ? (wild ? draw.odd() : draw.forbidden()) : draw.uniform();
  switch (draw.below(depth > 1 ? 10 : 12)) {
    case 0:
      return StepLR{.step_size = steps, .gamma = share};
    case 1:
      return ExponentialLR{.gamma = share};
    case 2:
      return MultiStepLR{.milestones = {0, steps, steps}, .gamma = share};
    case 3:
      return LinearLR{.start_factor = share, .end_factor = 1.0, .total_iters = steps};
    case 4:
      return PolynomialLR{.total_iters = steps, .power = 2.0 * share};
    case 5:
      return CosineAnnealingLR{.T_max = steps, .eta_min = 0.01 * share, .hold_minimum = draw.chance(0.5)};
    case 6:
      return CosineAnnealingWarmRestarts{.T_0 = steps, .T_mult = draw.pick<std::int64_t>({1, 2, 3})};
    case 7:
      return OneCycleLR{.max_lr = 0.2,
                        .total_steps = steps,
                        .pct_start = share,
                        .cycle_momentum = draw.chance(0.5),
                        .three_phase = draw.chance(0.5)};
    case 8:
      return CyclicLR{
          .base_lr = 0.001,
          .max_lr = 0.1,
          .step_size_up = steps,
          .mode = draw.pick({CyclicMode::triangular, CyclicMode::triangular2, CyclicMode::exp_range}),
          .gamma = share,
          .cycle_momentum = draw.chance(0.5)};
    case 9:
      return draw.chance(0.3) ? Schedule{}
                              : Schedule(LambdaLR{.lr_lambda = [share](std::int64_t) { return share; },
                                                  .steps = steps > 100000 ? 100 : steps});
    default:
      return draw_composed(draw, wild, depth + 1, steps, share);
  }
}

GradientHandling draw_handling(Draw& draw, std::size_t bad_in) {
  const auto number = [&](std::initializer_list<double> good) {
    return draw.below(bad_in) == 0 ? draw.odd() : draw.pick(good);
  };
  GradientHandling handling;
  if (draw.chance(0.4)) {
    handling.clip_norm =
        ClipGradNorm{.max_norm = number({0.1, 3.0, 1e6, std::numeric_limits<double>::infinity()}),
                     .norm_type = static_cast<NormType>(draw.below(draw.below(bad_in) == 0 ? 5 : 3)),
                     .formula = draw.pick({ClipFormula::pytorch, ClipFormula::exact}),
                     .per_group = draw.chance(0.3),
                     .exact = draw.chance(0.2)};
    handling.clip_norm->per_parameter =
        draw.chance(!handling.clip_norm->per_group ? 0.3 : draw.below(bad_in) == 0);
  }
  if (draw.chance(0.3)) handling.clip_value = number({0.05, 1.0, 0.0});
  handling.nonfinite = static_cast<NonFinite>(draw.below(draw.below(bad_in) == 0 ? 5 : 3));
  if (draw.chance(0.3)) handling.loss_scale = number({96.0, 0.25, 1.0});
  if (draw.chance(0.3)) {
    if (draw.below(bad_in) != 0) handling.loss_scale = 1.0;
    handling.loss_scaler = LossScaler{.init_scale = number({64.0, 65536.0, 3.7}),
                                      .growth_factor = number({2.0, 1.7}),
                                      .backoff_factor = number({0.5, 0.3}),
                                      .growth_interval = draw.pick<std::int64_t>({1, 2, 3, 2000})};
    if (draw.chance(0.3)) handling.loss_scaler->min_scale = number({1.0, 2.0});
    if (draw.chance(0.3)) handling.loss_scaler->max_scale = number({65536.0, 131072.0});
    if (draw.below(bad_in) == 0) handling.loss_scaler->growth_interval = draw.odd_count();
  }
  handling.zero_grad = draw.chance(0.3);
  return handling;
}

}  // namespace onepass::fuzz
