// pair.cpp - what every call of a pair is compared with, and the calls that steps consist of.
#include "fuzz/pair.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace onepass::fuzz {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// Returns whether a sum of many numbers is near what it should be.
bool near(double actual, double expected) {
  if (std::isnan(expected)) return std::isnan(actual);
  if (std::isinf(expected)) return actual == expected;
  return std::fabs(actual - expected) <= 1e-9 * std::fabs(expected) + 1e-75;
}

/// Compares the memory of the states with the dict.
void require_states(Optimizer& optimizer, const StateDict& dict) {
  for (const SavedParameter& parameter : dict.parameters) {
    for (const SavedState& state : parameter.states) {
      const Tensor tensor = optimizer.state(parameter.name, state.name);
      require(tensor.dtype == state.dtype && tensor.bytes() <= state.bytes.size(), "state()");
      require(tensor.numel == 0 || std::memcmp(tensor.data, state.bytes.data(), tensor.bytes()) == 0,
              "state() is not what the state dict has");
    }
  }
}

}  // namespace

Pair::Pair(Draw& draw, Trace& trace) : draw_(draw), trace_(trace), setup_(draw_setup(draw)) {
  for (const Rule& rule : setup_.rules) trace_.call("group of " + std::string(rule.name()));
  for (const TensorPlan& tensor : setup_.tensors) {
    trace_.call(tensor.name + ": " + std::to_string(tensor.numel) + " of " + to_string(tensor.dtype) +
                ", gradient of " + to_string(tensor.grad_dtype) + ", group " + std::to_string(tensor.group));
  }
  sides_[0] = std::make_unique<Side>(draw, setup_);
  sides_[1] = std::make_unique<Side>(draw, *sides_[0]);
  model_.shared_settings = {.init_scale = 256.0, .growth_interval = draw.pick<std::int64_t>({1, 2, 5})};
  model_.shared.scale = 256.0f;
  for (auto& side : sides_) {
    side->scaler = std::make_unique<SharedLossScaler>(Device::cpu(), model_.shared_settings);
  }
  for (Memory& memory : memory_) memory.group_norms.assign(setup_.rules.size(), 0.0);
  saved_ = sides_[0]->shot().dict;
}

std::vector<Rule> Pair::rules() const {
  std::vector<Rule> rules;
  for (std::size_t group = 0; group < setup_.rules.size(); ++group) {
    rules.push_back(sides_[0]->optimizer->rule(group));
  }
  return rules;
}

bool Pair::both(const std::function<void(Side&)>& call, const Change& change) {
  Shot want = sides_[0]->shot();
  const bool accepted = taken(trace_, [&] { call(*sides_[0]); });
  const bool also = taken(trace_, [&] { call(*sides_[1]); });
  require(accepted == also, "one optimizer took the call, and the other refused it");
  if (accepted) change(want);
  expect(want);
  return accepted;
}

void Pair::expect(const Shot& want) {
  Shot shot = sides_[0]->shot();
  std::string found = difference(want, shot);
  require(found.empty(), "not as expected: " + found);
  found = difference(shot, sides_[1]->shot());
  require(found.empty(), "the second optimizer differs: " + found);
  for (const auto& side : sides_) side->require_intact();
  require_readings(shot);
}

/// Compares what the other functions return with the shot and the model.
void Pair::require_readings(Shot& shot) {
  for (std::size_t s = 0; s < sides_.size(); ++s) {
    Optimizer& optimizer = *sides_[s]->optimizer;
    require(optimizer.steps() == shot.dict.steps, "steps()");
    require(optimizer.skipped_steps() == shot.dict.skipped_steps, "skipped_steps()");
    require(optimizer.dropped_micro_batches() == shot.dict.dropped_micro_batches, "dropped_micro_batches()");
    const float scale = model_.is_shared ? model_.shared.scale : model_.own.scale;
    require(optimizer.loss_scale() == scale && *optimizer.loss_scale_pointer() == scale, "loss_scale()");
    require(setup_.wild || near(optimizer.grad_norm(), memory_[s].norm),
            "grad_norm() is " + std::to_string(optimizer.grad_norm()) + ", but must be " +
                std::to_string(memory_[s].norm));
    for (std::size_t group = 0; group < setup_.rules.size(); ++group) {
      require(setup_.wild || near(optimizer.grad_norm(group), memory_[s].group_norms[group]),
              "grad_norm() of a group");
      const double lr = shot.dict.schedules[group].lr(optimizer.rule(group).lr, shot.dict.steps);
      require(optimizer.lr(group) == lr || std::isnan(lr), "lr()");
    }
    for (const SavedParameter& parameter : shot.dict.parameters) {
      require(optimizer.step_count(parameter.name) == parameter.step, "step_count()");
      require(optimizer.state_names(parameter.name).size() <= parameter.states.size(), "state_names()");
    }
  }
}

void Pair::draw_gradients() {
  for (std::size_t t = 0; t < sides_[0]->memory.size(); ++t) {
    const TensorPlan& plan = sides_[0]->memory[t]->plan;
    std::vector<float> numbers(static_cast<std::size_t>(plan.numel));
    const double largest = draw_.pick({1.0, 1e-3, 64.0, setup_.wild ? 1e30 : 0.0});
    for (float& number : numbers) number = static_cast<float>(largest * draw_.between(-1.0, 1.0));
    if (!numbers.empty() && draw_.chance(0.04)) {
      numbers[draw_.below(numbers.size())] = draw_.pick({kInf, -kInf, kNaN});
    }
    for (auto& side : sides_) side->memory[t]->write_gradient(numbers);
  }
}

/// Steps as shards of a model do: by a measure that was taken before, if steps measure the gradients, and in
/// two halves, if rules take sums over tensors.
void Pair::step_as_shard(Optimizer& one) {
  std::vector<std::int64_t> words(static_cast<std::size_t>(one.measure_numel()));
  std::vector<std::int64_t> sums(static_cast<std::size_t>(one.sums_numel()));
  const Tensor measure{words.data(), DType::int64, one.measure_numel()};
  const Tensor taken{sums.data(), DType::int64, one.sums_numel()};
  bool measures = true;
  try {
    one.measure(measure);
  } catch (const InvalidArgument&) {
    measures = false;
  }
  if (sums.empty()) return measures ? one.step_measured(measure) : one.step();
  measures ? one.begin_step(measure, taken) : one.begin_step(taken);
  one.finish_step(taken);
}

void Pair::step() {
  trace_.call("step");
  if (draw_.chance(0.9)) draw_gradients();
  const float found_inf = draw_.chance(0.1) ? draw_.pick({1.0f, kNaN, -1.0f}) : draw_.pick({0.0f, -0.0f});
  const bool bad = model_.skips() && draw_.chance(0.1);
  const float grad_scale = bad ? draw_.pick({0.0f, kInf, kNaN, 1e-45f}) : draw_.pick({1.0f, 3.0f, 0.5f});
  for (auto& side : sides_) {
    side->found_inf = found_inf;
    side->grad_scale = grad_scale;
  }
  const bool as_shard = draw_.chance(0.2);
  const Side* const first = sides_[0].get();
  both(
      [&](Side& side) {
        as_shard&&& side != first ? step_as_shard(*side.optimizer) : side.optimizer->step();
      },
      [&](Shot& want) {
        expect_step(model_, *sides_[0], {&memory_[0], &memory_[1]}, want, sides_[0]->shot());
      });
}

void Pair::accumulate() {
  trace_.call("accumulate");
  if (draw_.chance(0.8)) draw_gradients();
  MicroBatch batch{.weight = draw_.chance(0.1) ? draw_.odd() : draw_.pick({1.0, 3.0, 0.5, 0.0})};
  if (!setup_.wild && batch.weight > 0 && !(batch.weight >= 0.5 && batch.weight <= 3)) batch.weight = 1.0;
  batch.drop_nonfinite = draw_.chance(0.3);
  const bool points = draw_.chance(0.3);
  float offered = static_cast<float>(batch.weight);
  if (points) {
    offered = draw_.pick({1.0f, 2.0f, 0.0f, -1.0f, kNaN, kInf});
    for (auto& side : sides_) side->weight = offered;
    if (!(offered > 0 && offered < kInf)) offered = 0.0f;
  }
  trace_.add(" with weight " + std::to_string(batch.weight) + (points ? " at a pointer" : ""));
  const BatchModel model{.weight = offered, .drops_nonfinite = batch.drop_nonfinite};
  both(
      [&](Side& side) {
        MicroBatch mine = batch;
        if (points) mine.weight_pointer = &side.weight;
        side.optimizer->accumulate(mine);
      },
      [&](Shot& want) { expect_accumulate(model_, *sides_[0], model, want, sides_[0]->shot()); });
}

namespace {

void expect_no_micro_batches(StateDict& want) {
  want.micro_batches = 0;
  want.accumulated_weight = 0.0;
  for (SavedParameter& parameter : want.parameters) {
    parameter.accumulated = 0;
    parameter.gradient_sum.clear();
  }
}

}  // namespace

void Pair::drop_accumulated() {
  trace_.call("drop_accumulated");
  both([](Side& side) { side.optimizer->drop_accumulated(); },
       [](Shot& want) { expect_no_micro_batches(want.dict); });
}

/// Moves the parameters, expects both optimizers to move them to the same bits, and puts them back.
void Pair::perturb() {
  trace_.call("perturb, restore");
  Sam sam{.rho = draw_.chance(0.1) ? draw_.odd() : draw_.pick({0.05, 1.0}), .adaptive = draw_.chance(0.5)};
  if (sam.adaptive) sam.eta = draw_.pick({0.0, 0.01});
  std::vector<std::vector<std::byte>> moved;
  both(
      [&](Side& side) {
        Optimizer& one = *side.optimizer;
        one.perturb(sam);
        std::vector<std::vector<std::byte>> values;
        for (const auto& tensor : side.memory) values.push_back(tensor->value.bytes());
        if (moved.empty()) moved = values;
        require(values == moved, "perturb() moved the parameters of the second optimizer elsewhere");
        one.restore();
      },
      [&](Shot& want) {
        if (setup_.options.accumulates_gradients) {
          expect_no_micro_batches(want.dict);
          want.dict.window_scale = 0.0f;
        } else if (model_.handling.zero_grad) {
          expect_zero_gradients(*sides_[0], want);
        }
      });
}

void Pair::zero_grad() {
  trace_.call("zero_grad");
  both([](Side& side) { side.optimizer->zero_grad(); },
       [&](Shot& want) { expect_zero_gradients(*sides_[0], want); });
}

void Pair::update_scaler() {
  trace_.call("SharedLossScaler::update");
  if (model_.shared_stepped) model_.shared.update(model_.shared_settings, model_.shared_overflowed);
  model_.shared_stepped = model_.shared_overflowed = false;
  both([](Side& side) { side.scaler->update(); }, [](Shot&) {});
}

void Pair::measure() {
  trace_.call("penalty, memory, traffic, fetch_grad_norm");
  both(
      [&](Side& side) {
        Optimizer& optimizer = *side.optimizer;
        const double expected = penalty(side, side.shot(), rules()), measured = optimizer.penalty();
        if (!setup_.wild && setup_.options.storage == Storage{}) {
          require(std::isfinite(expected) ? std::fabs(measured - expected) <= 1e-6 * expected + 1e-70
                                          : !std::isfinite(measured),
                  "penalty() is " + std::to_string(measured) + ", but must be " + std::to_string(expected));
        }
        for (const auto& streams : {optimizer.memory(), optimizer.traffic()}) {
          for (const StreamBytes& stream : streams) require(stream.bytes >= 0, "bytes of " + stream.name);
        }
        optimizer.fetch_grad_norm();
        const double fetched = optimizer.fetched_grad_norm(), norm = optimizer.grad_norm();
        require(fetched == norm || (std::isnan(fetched) && std::isnan(norm)), "fetched_grad_norm()");
        require_states(optimizer, optimizer.state_dict());
        side.optimizer = std::make_unique<Optimizer>(std::move(optimizer));
      },
      [](Shot&) {});
}

void Pair::check() {
  trace_.call("check");
  for (std::size_t s = 0; s < sides_.size(); ++s) {
    bool threw = false;
    try {
      sides_[s]->optimizer->check();
    } catch (const NonFiniteGradient&) {
      threw = true;
    }
    require(threw == memory_[s].nonfinite, threw ? "check() threw" : "check() did not throw");
    memory_[s].nonfinite = false;
  }
}

}  // namespace onepass::fuzz
