// calls.cpp - the calls of a pair that change settings, parameters and whole states, in random order.
#include <algorithm>
#include <iterator>
#include <utility>

#include "fuzz/fuzz.hpp"
#include "fuzz/pair.hpp"

namespace onepass::fuzz {

void Pair::set_lr() {
  const double lr = draw_lr(draw_, setup_.wild);
  const std::size_t group = draw_.below(setup_.rules.size() + 1);
  const bool all = draw_.chance(0.3);
  trace_.call("set_lr(" + std::to_string(lr) + (all ? ")" : ", " + std::to_string(group) + ")"));
  both([&](Side& side) { all ? side.optimizer->set_lr(lr) : side.optimizer->set_lr(lr, group); },
       [&](Shot& want) {
         std::vector<Rule> changed = rules();
         for (std::size_t g = 0; g < changed.size(); ++g) {
           if (all || g == group) require(changed[g].lr == lr, "the rate was not set");
           changed[g].lr = all || g == group ? lr : changed[g].lr;
           want.dict.groups[g].hyperparameters[0].value = changed[g].text("lr");
         }
       });
}

void Pair::set_rule() {
  trace_.call("set_rule");
  const std::size_t group = draw_.below(setup_.rules.size() + (draw_.chance(0.1) ? 1 : 0));
  Rule rule = rules()[std::min(group, setup_.rules.size() - 1)];
  if (draw_.chance(0.05)) rule = library_rules()[draw_.below(library_rules().size())];
  if (!taken(trace_, [&] { change_rule(draw_, rule, setup_.wild); })) return;
  both([&](Side& side) { side.optimizer->set_rule(rule, group); },
       [&](Shot& want) { want.dict.groups[group] = saved({rule})[0]; });
}

void Pair::set_schedule() {
  trace_.call("set_schedule");
  Schedule schedule;
  if (!taken(trace_, [&] { schedule = draw_schedule(draw_, setup_.wild); })) return;
  const std::size_t group = draw_.below(setup_.rules.size() + (draw_.chance(0.1) ? 1 : 0));
  const bool all = draw_.chance(0.3);
  both(
      [&](Side& side) {
        all ? side.optimizer->set_schedule(schedule) : side.optimizer->set_schedule(schedule, group);
      },
      [&](Shot& want) {
        for (std::size_t g = 0; g < want.dict.schedules.size(); ++g) {
          if (all || g == group) want.dict.schedules[g] = schedule;
        }
      });
}

void Pair::set_gradients() {
  trace_.call("set_gradients");
  const std::size_t count = sides_[0]->memory.size();
  std::vector<bool> has_grad;
  for (std::size_t t = 0; t < count; ++t) has_grad.push_back(draw_.chance(0.8));
  const std::size_t bad = draw_.below(8), which = draw_.below(count);
  const std::int64_t numel = draw_.odd_count();
  const bool accepted = both(
      [&](Side& side) {
        std::vector<Tensor> gradients;
        for (std::size_t t = 0; t < count; ++t) {
          TensorMemory& tensor = *side.memory[t];
          const bool before = std::exchange(tensor.has_grad, true);
          gradients.push_back(has_grad[t] ? tensor.gradient() : Tensor{});
          tensor.has_grad = before;
        }
        TensorMemory& tensor = *side.memory[which];
        if (bad == 0) gradients.pop_back();
        if (bad == 1) gradients[which] = {tensor.grad.data(), DType::uint8, numel};
        if (bad == 2)
          gradients[which] = {tensor.grad.data(), DType::float32, tensor.plan.numel, Device::cuda(0)};
        if (bad == 3) gradients[which] = {tensor.value.data(), DType::float32, tensor.plan.numel};
        side.optimizer->set_gradients(gradients);
      },
      [](Shot&) {});
  if (!accepted) return;
  // A gradient without elements overlaps nothing.
  require(bad > 3 || (bad == 3 && sides_[0]->memory[which]->plan.numel == 0), "a bad gradient was accepted");
  if (bad == 3) has_grad[which] = true;
  for (auto& side : sides_) {
    for (std::size_t t = 0; t < count; ++t) side->memory[t]->has_grad = has_grad[t];
  }
}

GradientHandling Pair::handling_for(Side& side, const GradientHandling& plan, bool found_inf, bool grad_scale,
                                    bool shared) const {
  GradientHandling handling = plan;
  if (found_inf) handling.found_inf = &side.found_inf;
  if (grad_scale) handling.grad_scale = &side.grad_scale;
  if (shared) handling.shared_scaler = side.scaler.get();
  return handling;
}

void Pair::set_handling() {
  trace_.call("set_gradient_handling");
  GradientHandling next = draw_handling(draw_, setup_.wild ? 20 : 1000000);
  const bool found_inf = draw_.chance(0.2);
  const bool grad_scale = draw_.chance(0.15), shared = draw_.chance(0.2);
  if (shared && draw_.chance(0.8)) {
    next.loss_scaler.reset();
    next.loss_scale = 1.0;
  }
  const bool accepted = both(
      [&](Side& side) {
        side.optimizer->set_gradient_handling(handling_for(side, next, found_inf, grad_scale, shared));
      },
      [&](Shot& want) {
        model_.set_handling(next, shared);
        want.dict.loss_scale = next.loss_scaler ? model_.own.scale : 0.0f;
        want.dict.growth_tracker = model_.own.tracker;
      });
  if (!accepted) return;
  model_.has_found_inf = found_inf;
  model_.has_grad_scale = grad_scale;
}

void Pair::change_handling() {
  trace_.call("clip_grad_norm, clip_grad_value or set_nonfinite");
  const std::size_t which = draw_.below(3);
  const double bad = setup_.wild ? draw_.odd() : draw_.forbidden();
  const double limit = draw_.chance(0.1) ? bad : draw_.pick({0.5, 2.0});
  const auto policy = static_cast<NonFinite>(draw_.below(draw_.chance(0.05) ? 9 : 3));
  GradientHandling next = model_.handling;
  if (which == 0) next.clip_norm = ClipGradNorm{.max_norm = limit};
  if (which == 1) next.clip_value = limit;
  if (which == 2) next.nonfinite = policy;
  both(
      [&](Side& side) {
        if (which == 0) side.optimizer->clip_grad_norm(limit);
        if (which == 1) side.optimizer->clip_grad_value(limit);
        if (which == 2) side.optimizer->set_nonfinite(policy);
      },
      [&](Shot&) { model_.set_handling(next, model_.is_shared); });
}

void Pair::add_parameters() {
  if (setup_.tensors.size() > 10) return;
  TensorPlan plan = draw_tensor(draw_, setup_, "added" + std::to_string(added_++));
  const std::size_t bad = draw_.below(8);
  if (bad == 0) plan.name = draw_.pick({std::string("p0"), std::string()});
  if (bad == 1) plan.group = setup_.rules.size();
  trace_.call("add_parameters \"" + plan.name + "\": " + std::to_string(plan.numel) + " of " +
              to_string(plan.dtype));
  for (auto& side : sides_) side->memory.push_back(std::make_unique<TensorMemory>(draw_, plan));
  sides_[1]->memory.back()->value.write(sides_[0]->memory.back()->value.bytes());
  sides_[1]->memory.back()->copy.write(sides_[0]->memory.back()->copy.bytes());
  const bool accepted =
      both([](Side& side) { side.optimizer->add_parameters(std::vector{side.memory.back()->parameter()}); },
           [&](Shot& want) {
             want.dict.parameters.push_back(sides_[0]->shot().dict.parameters.back());
             require(want.dict.parameters.back().step == 0, "an added parameter has taken steps");
           });
  require(accepted == (bad > 1), accepted ? "a bad parameter was accepted" : "a parameter was refused");
  if (accepted) return setup_.tensors.push_back(plan);
  for (auto& side : sides_) side->memory.pop_back();
}

void Pair::restore() {
  if (model_.shared_stepped) return;  // A shared scaler's state is that of the beginning of a round.
  trace_.call("restore");
  const Shot before = sides_[0]->shot();
  auto side = std::make_unique<Side>(draw_, *sides_[0]);
  side->scaler = std::make_unique<SharedLossScaler>(Device::cpu(), model_.shared_settings);
  side->scaler->load_state(sides_[0]->scaler->state());
  side->optimizer->set_gradient_handling(
      handling_for(*side, model_.handling, model_.has_found_inf, model_.has_grad_scale, model_.is_shared));
  side->optimizer->load_state_dict(before.dict);
  sides_[1] = std::move(side);
  memory_[1] = {.group_norms = std::vector<double>(setup_.rules.size(), 0.0)};
  if (draw_.chance(0.5)) {
    std::swap(sides_[0], sides_[1]);
    std::swap(memory_[0], memory_[1]);
  }
  expect(before);
}

void Pair::load() {
  trace_.call("load_state_dict");
  StateDict dict = saved_;
  std::erase_if(dict.parameters, [&](const SavedParameter&) { return draw_.chance(0.15); });
  if (draw_.chance(0.2)) dict.parameters.push_back({.name = "unknown"});
  const LoadOptions options{.missing = draw_.pick({Missing::refuse, Missing::keep}),
                            .unexpected = draw_.pick({Unexpected::refuse, Unexpected::ignore})};
  both([&](Side& side) { (void)side.optimizer->load_state_dict(dict, options); },
       [&](Shot& want) {
         const StateDict before = std::exchange(want.dict, dict);
         want.dict.parameters = before.parameters;
         for (SavedParameter& parameter : want.dict.parameters) {
           const auto found = std::ranges::find(dict.parameters, parameter.name, &SavedParameter::name);
           if (found != dict.parameters.end()) parameter = *found;
         }
         const bool restores = model_.handling.loss_scaler && dict.loss_scale != 0;
         if (restores) model_.own = {.scale = dict.loss_scale, .tracker = dict.growth_tracker};
         want.dict.loss_scale = model_.handling.loss_scaler ? model_.own.scale : 0.0f;
         want.dict.growth_tracker = model_.own.tracker;
       });
}

void Pair::call() {
  if (draw_.chance(0.1)) saved_ = sides_[0]->shot().dict;
  const bool accumulates = setup_.options.accumulates_gradients;
  static constexpr void (Pair::*kCalls[])() = {
      &Pair::set_lr,         &Pair::set_rule,     &Pair::set_schedule,    &Pair::set_gradients,
      &Pair::set_handling,   &Pair::set_handling, &Pair::change_handling, &Pair::check,
      &Pair::add_parameters, &Pair::restore,      &Pair::restore,         &Pair::load,
      &Pair::update_scaler,  &Pair::measure,      &Pair::zero_grad,       &Pair::drop_accumulated,
      &Pair::perturb};
  if (accumulates && draw_.chance(0.4)) return accumulate();
  if (draw_.chance(0.5)) return step();
  if (draw_.chance(0.01)) return accumulate();
  (this->*kCalls[draw_.below(std::size(kCalls))])();
}

void random_calls(std::uint64_t seed, Trace& trace) {
  Draw draw(seed);
  Pair pair(draw, trace);
  const std::size_t calls = 30 + draw.below(71);
  for (std::size_t call = 0; call < calls; ++call) pair.call();
}

}  // namespace onepass::fuzz
