// calls.cpp - random calls of the C interface, right and wrong, null pointers and bad sizes included. Each
// succeeds, or fails with a status and a sentence and changes nothing.
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <iterator>

#include "fuzz/c_interface/call.hpp"
#include "fuzz/fuzz.hpp"

namespace onepass::fuzz {
namespace {

int create(Call& c) {
  c.make_groups();
  c.make_parameters(4);
  onepass_optimizer* made = nullptr;
  const int status = onepass_create(
      c.a.pointer(c.groups.data()), c.a.count(static_cast<std::int64_t>(c.groups.size())),
      c.a.pointer(c.parameters.data()), c.a.count(static_cast<std::int64_t>(c.parameters.size())),
      c.a.draw.chance(0.98) ? ONEPASS_CPU : c.a.draw.pick({-2, 99}), c.make_options(), c.a.pointer(&made));
  World::keep(c.world.optimizers, made);
  return status;
}

int required_memory(Call& c) {
  c.make_groups();
  c.make_parameters(3);
  onepass_streams* made = nullptr;
  const int status = onepass_required_memory(c.groups.data(), static_cast<std::int64_t>(c.groups.size()),
                                             c.a.pointer(c.parameters.data()),
                                             c.a.count(static_cast<std::int64_t>(c.parameters.size())),
                                             ONEPASS_CPU, c.make_options(), c.a.pointer(&made));
  const OwnedStreams owner(made);
  onepass_stream_info info{};
  if (made != nullptr) onepass_streams_at(made, c.a.draw.odd_count(), &c.a.sized(info));
  return status;
}

int schedule(Call& c) {
  onepass_schedule* made = nullptr;
  const onepass_setting* const settings = c.make_settings();
  const int status =
      onepass_schedule_create(c.a.name({"StepLR", "CosineAnnealingLR", "ExponentialLR", "ConstantLR"}),
                              settings, c.setting_count(), c.a.pointer(&made));
  World::keep(c.world.schedules, made);
  return status;
}

int composition(Call& c) {
  const std::array<const onepass_schedule*, 2> list{World::pick(c.a, c.world.schedules),
                                                    World::pick(c.a, c.world.schedules)};
  const std::array<std::int64_t, 2> milestones{c.a.draw.odd_count(), 9};
  const std::array<double, 2> factors{c.a.number(), c.a.number()};
  onepass_schedule* made = nullptr;
  const std::array<std::function<int()>, 4> kinds{
      [&] { return onepass_schedule_chain(list.data(), c.a.count(2), c.a.pointer(&made)); },
      [&] {
        return onepass_schedule_sequence(list.data(), c.a.count(2), milestones.data(), c.a.pointer(&made));
      },
      [&] { return onepass_schedule_table(factors.data(), c.a.count(2), c.a.pointer(&made)); },
      [&] {
        return onepass_schedule_multi_step(milestones.data(), c.a.count(2), c.a.number(), c.a.pointer(&made));
      }};
  const int status = kinds[c.a.draw.below(kinds.size())]();
  World::keep(c.world.schedules, made);
  return status;
}

int rates(Call& c) {
  onepass_rates rates{};
  return onepass_schedule_rates(World::pick(c.a, c.world.schedules), c.a.number(), c.a.draw.odd_count(),
                                c.a.pointer(&c.a.sized(rates)));
}

int scaler(Call& c) {
  onepass_loss_scaler settings{0, 0, c.a.number(), c.a.number(), c.a.number(), c.a.count(3), 0, c.a.number()};
  onepass_shared_loss_scaler* made = nullptr;
  const int status =
      onepass_shared_loss_scaler_create(ONEPASS_CPU, c.a.pointer(&c.a.sized(settings)), c.a.pointer(&made));
  if (made != nullptr) c.world.scalers.emplace_back(made);
  return status;
}

int random_state(Call& c) {
  onepass_random* made = nullptr;
  const int status = onepass_random_create(ONEPASS_CPU, 1, c.a.draw.odd_count(), c.a.pointer(&made));
  World::keep(c.world.randoms, made);
  return status;
}

int initialize(Call& c) {
  std::vector<float> values(70);
  const onepass_tensor tensor{sizeof tensor, c.a.draw.chance(0.9) ? 0 : c.a.code(5),
                              c.a.pointer(values.data()),
                              c.a.draw.pick({std::int64_t{70}, std::int64_t{69}, std::int64_t{-1}})};
  const std::array<std::int64_t, 2> shape{
      7, c.a.draw.chance(0.9) ? 10 : c.a.draw.pick<std::int64_t>({-1, 0, 9, 11})};
  onepass_random_key key{0, 1, 2, c.a.draw.chance(0.9) ? 0 : c.a.draw.odd_count(), c.a.flag(), 0};
  const onepass_setting* const settings = c.make_settings();
  return onepass_initialize(&tensor, ONEPASS_CPU, shape.data(), c.a.count(2),
                            c.a.name({"Normal", "Uniform", "Orthogonal", "Eye", "Dirac", "KaimingNormal"}),
                            settings, c.setting_count(), c.a.pointer(&c.a.sized(key)), nullptr);
}

int dropout(Call& c) {
  std::vector<float> in(40, 1.0f), out(40);
  onepass_dropout call{0,
                       3,
                       c.a.number(),
                       c.a.pointer(out.data()),
                       c.a.pointer(in.data()),
                       nullptr,
                       c.a.draw.pick({std::int64_t{40}, std::int64_t{-1}, std::int64_t{0}}),
                       c.a.draw.chance(0.8) ? 0 : c.a.draw.odd_count()};
  return onepass_dropout_forward(c.a.pointer(&c.a.sized(call)), World::pick(c.a, c.world.randoms), nullptr);
}

using Optimize = int (*)(Call&, onepass_optimizer*);

int step(Call&, onepass_optimizer* one) { return onepass_step(one, nullptr); }
int zero_grad(Call&, onepass_optimizer* one) { return onepass_zero_grad(one, nullptr); }
int check(Call&, onepass_optimizer* one) { return onepass_check(one, nullptr); }
int drop(Call&, onepass_optimizer* one) { return onepass_drop_accumulated(one, nullptr); }

int set(Call& c, onepass_optimizer* one) {
  const onepass_setting* const settings = c.make_settings();
  return onepass_set_several(one, c.a.code(1), settings, c.setting_count(), nullptr);
}

int step_some(Call& c, onepass_optimizer* one) {
  const std::array<std::int64_t, 2> which{c.a.draw.pick<std::int64_t>({0, 1, 2, -1, 9}),
                                          c.a.draw.pick<std::int64_t>({1, 0})};
  const int status =
      onepass_step_some(one, c.a.pointer(which.data()), c.a.count(c.a.draw.chance(0.5) ? 1 : 2), nullptr);
  return status == ONEPASS_OK ? onepass_end_round(one, nullptr) : status;
}

int step_measured(Call& c, onepass_optimizer* one) {
  std::int64_t numel = 0;
  onepass_measure_numel(one, &numel);
  std::vector<std::int64_t> measure(static_cast<std::size_t>(numel));
  const int status = onepass_measure(one, c.a.pointer(measure.data()), c.a.count(numel), nullptr);
  return status == ONEPASS_OK ? onepass_step_measured(one, measure.data(), c.a.count(numel), nullptr)
                              : status;
}

int begin_step(Call& c, onepass_optimizer* one) {
  std::int64_t numel = 0;
  onepass_sums_numel(one, &numel);
  std::vector<std::int64_t> sums(static_cast<std::size_t>(numel));
  const int status =
      onepass_begin_step(one, nullptr, c.a.count(0), c.a.pointer(sums.data()), c.a.count(numel), nullptr);
  return status == ONEPASS_OK ? onepass_finish_step(one, sums.data(), numel, nullptr) : status;
}

int perturb(Call& c, onepass_optimizer* one) {
  onepass_sam sam{0, c.a.flag(), c.a.number(), c.a.draw.chance(0.7) ? 0.0 : c.a.number()};
  std::vector<std::int64_t> measure(22);
  const onepass_sam* const given = c.a.pointer(&c.a.sized(sam));
  int status = ONEPASS_OK;
  if (c.a.draw.chance(0.5)) {
    status = onepass_perturb(one, given, nullptr);
  } else {
    status = onepass_measure_perturbation(one, given, c.a.pointer(measure.data()), c.a.count(22), nullptr);
    if (status == ONEPASS_OK) status = onepass_perturb_measured(one, given, measure.data(), 22, nullptr);
  }
  return status == ONEPASS_OK ? onepass_restore(one, nullptr) : status;
}

int set_lr(Call& c, onepass_optimizer* one) { return onepass_set_lr(one, c.a.number(), nullptr); }

int get(Call& c, onepass_optimizer* one) {
  const char* text = nullptr;
  return onepass_get_text(one, c.a.code(1), c.a.name(kMembers), c.a.pointer(&text));
}

int set_schedule(Call& c, onepass_optimizer* one) {
  return onepass_set_schedule(one, c.a.code(2) - 1, World::pick(c.a, c.world.schedules));
}

int handling(Call& c, onepass_optimizer* one) {
  onepass_clip_grad_norm clip{0, c.a.code(2), c.a.number(), c.a.code(1), c.a.flag(), c.a.flag(), c.a.flag()};
  onepass_loss_scaler scaler{0, 0, 8, 0, 0, 2, 0, 0};
  onepass_gradient_handling h{};
  h.nonfinite = c.a.code(2);
  if (c.a.draw.chance(0.5)) h.clip_norm = &c.a.sized(clip);
  if (c.a.draw.chance(0.2)) h.loss_scaler = &c.a.sized(scaler);
  if (c.a.draw.chance(0.2)) h.shared_scaler = World::pick(c.a, c.world.scalers);
  h.clips_value = c.a.flag();
  h.clip_value = c.a.number();
  h.loss_scale = c.a.draw.chance(0.8) ? 0.0 : c.a.number();
  h.zero_grad = c.a.flag();
  return onepass_set_gradient_handling(one, c.a.pointer(&c.a.sized(h)), nullptr);
}

int accumulate(Call& c, onepass_optimizer* one) {
  onepass_micro_batch batch{0, c.a.flag(), c.a.number(), nullptr};
  return onepass_accumulate(one, c.a.pointer(&c.a.sized(batch)), nullptr);
}

int read_numbers(Call& c, onepass_optimizer* one) {
  double number = 0.0;
  const int status = c.a.flag() != 0
                         ? onepass_grad_norm(one, c.a.code(2) - 1, nullptr, c.a.pointer(&number))
                         : onepass_parameter_grad_norm(one, c.a.pointer("t0"), nullptr, c.a.pointer(&number));
  return status != ONEPASS_OK ? status : onepass_penalty(one, nullptr, c.a.pointer(&number));
}

int read_state(Call& c, onepass_optimizer* one) {
  onepass_tensor tensor{};
  const int status =
      onepass_state(one, c.a.name(kParameters), c.a.name({"exp_avg", "master", "ema"}), &c.a.sized(tensor));
  // The tensor must lie in memory that may be written.
  if (status == ONEPASS_OK && tensor.numel > 0) std::memset(tensor.data, 0, 1);
  return status;
}

int add(Call& c, onepass_optimizer* one) {
  c.make_parameters(2);
  return onepass_add_parameters(one, c.a.pointer(c.parameters.data()),
                                c.a.count(static_cast<std::int64_t>(c.parameters.size())));
}

int remove(Call& c, onepass_optimizer* one) {
  const char* const names[] = {c.a.name(kParameters), c.a.name(kParameters)};
  return onepass_remove_parameters(one, c.a.pointer(&names[0]), c.a.count(c.a.draw.chance(0.5) ? 1 : 2));
}

int move(Call& c, onepass_optimizer* one) {
  c.make_parameters(2);
  return onepass_set_memory(one, c.a.pointer(c.parameters.data()),
                            c.a.count(static_cast<std::int64_t>(c.parameters.size())), nullptr);
}

int gradients(Call& c, onepass_optimizer* one) {
  std::int64_t count = 0;
  onepass_parameter_count(one, &count);
  std::vector<onepass_tensor> tensors(static_cast<std::size_t>(count));
  for (onepass_tensor& tensor : tensors) c.a.sized(tensor).dtype = c.a.code(2);  // no gradient at all
  return onepass_set_gradients(one, c.a.pointer(tensors.data()), c.a.count(count), nullptr);
}

int save_dict(Call& c, onepass_optimizer* one) {
  onepass_dict* made = nullptr;
  const int status = onepass_state_dict(one, nullptr, c.a.pointer(&made));
  World::keep(c.world.dicts, made);
  return status;
}

int load_dict(Call& c, onepass_optimizer* one) {
  onepass_load_options options{0, c.a.flag(), c.a.flag(), 0, 0};
  onepass_texts *missing = nullptr, *unexpected = nullptr;
  const int status =
      onepass_load_state_dict(one, World::pick(c.a, c.world.dicts), c.a.pointer(&c.a.sized(options)), nullptr,
                              c.a.pointer(&missing), c.a.pointer(&unexpected));
  const OwnedTexts first(missing), second(unexpected);
  return status;
}

int checkpoint(Call& c, onepass_optimizer* one) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("onepass_c_fuzz_" + std::to_string(getpid()))).string();
  const onepass_optimizer* const saved[] = {one};
  const onepass_text metadata[] = {{c.a.name({"epoch"}), c.a.name({"1"})}};
  onepass_save_options options{0, c.a.flag(), metadata, c.a.count(1)};
  const int status =
      onepass_save(c.a.pointer(path.c_str()), saved, c.a.count(1), &c.a.sized(options), nullptr);
  if (status != ONEPASS_OK) return status;
  const char* const paths[] = {path.c_str()};
  onepass_optimizer* const loaded[] = {one};
  onepass_load_options load{0, c.a.flag(), c.a.flag(), c.a.flag(), options.skip_parameters};
  const int loads = onepass_load(paths, c.a.count(1), loaded, 1, &c.a.sized(load), nullptr, nullptr, nullptr);
  std::filesystem::remove(path);
  return loads;
}

struct Named {
  const char* name;
  int (*makes)(Call&);
  Optimize uses;
};
constexpr Named kCalls[]{{"create", create, nullptr},
                         {"required_memory", required_memory, nullptr},
                         {"schedule_create", schedule, nullptr},
                         {"composition", composition, nullptr},
                         {"schedule_rates", rates, nullptr},
                         {"shared_loss_scaler_create", scaler, nullptr},
                         {"random_create", random_state, nullptr},
                         {"initialize", initialize, nullptr},
                         {"dropout", dropout, nullptr},
                         {"step", nullptr, step},
                         {"step", nullptr, step},
                         {"step_some, end_round", nullptr, step_some},
                         {"measure, step_measured", nullptr, step_measured},
                         {"begin_step, finish_step", nullptr, begin_step},
                         {"perturb, restore", nullptr, perturb},
                         {"zero_grad", nullptr, zero_grad},
                         {"check", nullptr, check},
                         {"drop_accumulated", nullptr, drop},
                         {"set_several", nullptr, set},
                         {"set_lr", nullptr, set_lr},
                         {"get_text", nullptr, get},
                         {"set_schedule", nullptr, set_schedule},
                         {"set_gradient_handling", nullptr, handling},
                         {"accumulate", nullptr, accumulate},
                         {"grad_norm, penalty", nullptr, read_numbers},
                         {"state", nullptr, read_state},
                         {"add_parameters", nullptr, add},
                         {"remove_parameters", nullptr, remove},
                         {"set_memory", nullptr, move},
                         {"set_gradients", nullptr, gradients},
                         {"state_dict", nullptr, save_dict},
                         {"load_state_dict", nullptr, load_dict},
                         {"save, load", nullptr, checkpoint}};

/// Makes one call. If it is refused as invalid, the optimizer must be as before.
void make(const Named& named, World& world, Arguments& a, Trace& trace) {
  trace.call(named.name);
  Call call{.world = world, .a = a};
  if (named.makes != nullptr) {
    is_taken(named.makes(call), trace);
    return;
  }
  onepass_optimizer* const one = World::pick(a, world.optimizers);
  const std::string before = one == nullptr ? "" : fingerprint(one);
  const int status = named.uses(call, one);
  if (is_taken(status, trace) || status != ONEPASS_INVALID_ARGUMENT || one == nullptr) return;
  require(fingerprint(one) == before, "a call that was refused has changed the optimizer");
}

}  // namespace

void random_c_calls(std::uint64_t seed, Trace& trace) {
  World world;
  Arguments a(seed);
  for (int i = 0; i < 20 && world.optimizers.empty(); ++i) make(kCalls[0], world, a, trace);
  for (int i = 0; i < 60; ++i) make(kCalls[a.draw.below(std::size(kCalls))], world, a, trace);
}

}  // namespace onepass::fuzz
