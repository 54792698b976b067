#include "schedules/golden_schedules.hpp"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace onepass::test {
namespace {

constexpr std::int64_t kSteps = 10001;

double user_function(std::int64_t step) { return 1 / (1 + static_cast<double>(step) / 50); }

const WarmupStableDecay kWsd{
    .warmup_steps = 500, .stable_steps = 5500, .decay_steps = 3000, .start_factor = 0.1, .end_factor = 0.05};

WarmupStableDecay wsd(DecayShape shape) {
  WarmupStableDecay schedule = kWsd;
  schedule.decay = shape;
  return schedule;
}

std::vector<NamedSchedule> factors() {
  return {
      {"step", StepLR{.step_size = 30}},
      {"step_slow", StepLR{.step_size = 1, .gamma = 0.9995}},
      {"step_growing", StepLR{.step_size = 1000, .gamma = 1.5}},
      {"multi_step", MultiStepLR{.milestones = {0, 5, 30, 30, 80, 1000, 5000, 9999}, .gamma = 0.5}},
      {"multi_step_default", MultiStepLR{.milestones = {30, 80}}},
      {"exponential", ExponentialLR{.gamma = 0.999}},
      {"exponential_fast", ExponentialLR{.gamma = 0.95}},
      {"constant", ConstantLR{}},
      {"constant_half", ConstantLR{.factor = 0.5, .total_iters = 400}},
      {"linear", LinearLR{}},
      {"linear_down", LinearLR{.start_factor = 0.9, .end_factor = 0.0, .total_iters = 5000}},
      {"warm_up", WarmUp{.steps = 700, .start_factor = 0.001}},
      {"polynomial", PolynomialLR{}},
      {"polynomial_root", PolynomialLR{.total_iters = 9000, .power = 0.5}},
      {"polynomial_power", PolynomialLR{.total_iters = 10000, .power = 3.7}},
      {"lambda", LambdaLR{.lr_lambda = user_function, .steps = 3000}},
      {"wsd_linear", wsd(DecayShape::linear)},
      {"wsd_cosine", wsd(DecayShape::cosine)},
      {"wsd_sqrt", wsd(DecayShape::one_minus_sqrt)},
  };
}

std::vector<NamedSchedule> waves() {
  return {
      {"cosine", CosineAnnealingLR{.T_max = 10000}},
      {"cosine_min", CosineAnnealingLR{.T_max = 5000, .eta_min = 0.01}},
      {"cosine_period", CosineAnnealingLR{.T_max = 37, .eta_min = 0.02}},
      {"cosine_one", CosineAnnealingLR{.T_max = 1}},
      {"restarts", CosineAnnealingWarmRestarts{.T_0 = 50}},
      {"restarts_2", CosineAnnealingWarmRestarts{.T_0 = 10, .T_mult = 2, .eta_min = 0.003}},
      {"restarts_3", CosineAnnealingWarmRestarts{.T_0 = 7, .T_mult = 3}},
      {"one_cycle", OneCycleLR{.max_lr = 0.5, .total_steps = kSteps}},
      {"one_cycle_linear",
       OneCycleLR{.max_lr = 0.5, .total_steps = kSteps, .anneal_strategy = Anneal::linear}},
      {"one_cycle_three", OneCycleLR{.max_lr = 1.0,
                                     .total_steps = kSteps,
                                     .pct_start = 0.4,
                                     .base_momentum = 0.8,
                                     .max_momentum = 0.99,
                                     .div_factor = 10,
                                     .final_div_factor = 1e3,
                                     .three_phase = true}},
      {"one_cycle_still",
       OneCycleLR{.max_lr = 0.5, .total_steps = 10500, .pct_start = 0, .cycle_momentum = false}},
      {"cyclic", CyclicLR{.base_lr = 0.01, .max_lr = 0.2}},
      {"cyclic_2", CyclicLR{.base_lr = 0.01,
                            .max_lr = 0.2,
                            .step_size_up = 700,
                            .step_size_down = 1800,
                            .mode = CyclicMode::triangular2}},
      {"cyclic_exp", CyclicLR{.base_lr = 0.0,
                              .max_lr = 0.2,
                              .step_size_up = 300,
                              .mode = CyclicMode::exp_range,
                              .gamma = 0.9994,
                              .base_momentum = 0.7,
                              .max_momentum = 0.95}},
      {"cyclic_still",
       CyclicLR{
           .base_lr = 0.01, .max_lr = 0.2, .step_size_up = 11, .step_size_down = 5, .cycle_momentum = false}},
  };
}

std::vector<NamedSchedule> compositions() {
  const Schedule first_chain = ChainedScheduler{{WarmUp{.steps = 100, .start_factor = 0.5}}};
  const Schedule second_chain =
      ChainedScheduler{{ExponentialLR{.gamma = 0.999}, ConstantLR{.factor = 0.25, .total_iters = 50}}};
  return {
      {"sequence",
       SequentialLR{.schedules = {ConstantLR{.factor = 0.1, .total_iters = 20}, ExponentialLR{.gamma = 0.99},
                                  CosineAnnealingWarmRestarts{.T_0 = 100, .T_mult = 2},
                                  MultiStepLR{.milestones = {1000, 2000}, .gamma = 0.3}},
                    .milestones = {20, 520, 3000}}},
      {"chain", ChainedScheduler{{ConstantLR{.factor = 0.1, .total_iters = 20}, ExponentialLR{.gamma = 0.999},
                                  StepLR{.step_size = 500, .gamma = 0.9}}}},
      {"sequence_of_chains", SequentialLR{.schedules = {first_chain, second_chain}, .milestones = {100}}},
      {"chain_of_sequences",
       ChainedScheduler{{SequentialLR{.schedules = {LinearLR{.start_factor = 0.5, .total_iters = 100},
                                                    StepLR{.step_size = 1000, .gamma = 0.5}},
                                      .milestones = {100}},
                         ExponentialLR{.gamma = 0.9999}}}},
  };
}

std::ifstream open(const char* name) {
  std::ifstream file(std::string(ONEPASS_SCHEDULES_GOLDEN) + "/" + name);
  if (!file) throw std::runtime_error(std::string("cannot read ") + name);
  return file;
}

/// Parses Python's repr of a float, including "inf" and "nan", which C++ streams do not read.
double number(std::istringstream& line) {
  std::string word;
  line >> word;
  return std::strtod(word.c_str(), nullptr);
}

}  // namespace

std::vector<NamedSchedule> golden_schedules() {
  std::vector<NamedSchedule> all = factors();
  for (NamedSchedule& one : waves()) all.push_back(std::move(one));
  for (NamedSchedule& one : compositions()) all.push_back(std::move(one));
  return all;
}

std::vector<NamedSchedule> schedules_of_ours() {
  return {
      {"cosine_hold", CosineAnnealingLR{.T_max = 400, .eta_min = 0.01, .hold_minimum = true}},
      {"no_warm_up", WarmUp{.steps = 0}},
      {"linear_at_once", LinearLR{.start_factor = 0.5, .end_factor = 0.75, .total_iters = 0}},
      {"sequence_from_the_second",
       SequentialLR{.schedules = {WarmUp{}, CosineAnnealingLR{.T_max = 37, .hold_minimum = true},
                                  MultiStepLR{.milestones = {0, 9}}},
                    .milestones = {0, 100}}},
  };
}

std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  std::ifstream file = open("schedules.txt");
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    if (text.starts_with("schedule ")) {
      GoldenCase one;
      line >> one.name >> one.name >> one.base_lr;
      cases.push_back(std::move(one));
      continue;
    }
    GoldenRates rates{};
    line >> rates.step >> rates.lr;
    if (double momentum = 0; line >> momentum) rates.momentum = momentum;
    cases.back().rates.push_back(rates);
  }
  return cases;
}

std::vector<GoldenPlateau> golden_plateaus() {
  std::vector<GoldenPlateau> plateaus;
  std::ifstream file = open("plateau.txt");
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    if (text.starts_with("plateau ")) {
      plateaus.push_back({.name = text.substr(8), .metrics = {}});
      continue;
    }
    GoldenMetric metric{};
    metric.metric = number(line);
    for (double& lr : metric.lr) lr = number(line);
    metric.best = number(line);
    line >> metric.num_bad_epochs >> metric.cooldown_counter;
    plateaus.back().metrics.push_back(metric);
  }
  return plateaus;
}

}  // namespace onepass::test
