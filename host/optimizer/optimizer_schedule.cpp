// optimizer_schedule.cpp - the functions of OptimizerCore that attach schedules to groups.
#include <string>
#include <utility>

#include "host/check/sentence.hpp"
#include "host/optimizer/optimizer_core.hpp"

namespace onepass {

ScheduleMemory ScheduleMemory::allocate(Device device, const Schedule& schedule) {
  if (schedule == Schedule{}) return {};
  const std::span<const schedule::Segment> segments = schedule.segments();
  const std::span<const double> numbers = schedule.numbers();
  ScheduleMemory memory{DeviceBuffer(device, segments.size_bytes() + numbers.size_bytes()), {}};
  std::byte* const base = memory.allocation.as<std::byte>();
  copy({device, base}, {Device::cpu(), segments.data()}, segments.size_bytes());
  copy({device, base + segments.size_bytes()}, {Device::cpu(), numbers.data()}, numbers.size_bytes());
  memory.view = {reinterpret_cast<const schedule::Segment*>(base), static_cast<std::int64_t>(segments.size()),
                 reinterpret_cast<const double*>(base + segments.size_bytes())};
  return memory;
}

void OptimizerCore::Impl::check_schedule(const Schedule& schedule, std::size_t group) const {
  if (!schedule.drives_momentum()) return;
  const std::optional<unsigned> wanted = ops.driven_variant(rules.data() + group * ops.rule_bytes);
  if (!wanted) {
    refuse(ops.name,
           "the schedule drives a momentum, which this rule does not have; set cycle_momentum = false");
  }
  if ((*wanted & ~variant) != 0) {
    refuse(
        ops.name,
        "the schedule drives a momentum, but this optimizer was made without the state for it; make it with "
        "a momentum above 0, or set cycle_momentum = false");
  }
}

void OptimizerCore::Impl::set_schedule(const Schedule& schedule, std::size_t group) {
  ScheduleMemory memory = ScheduleMemory::allocate(device, schedule);
  backend->wait();
  auto* const views = const_cast<schedule::View*>(table_memory.view().schedules);
  copy({device, views + group}, {Device::cpu(), &memory.view}, sizeof memory.view);
  schedule_memory[group] = std::move(memory);
  schedules[group] = schedule;
}

void OptimizerCore::set_schedule(const Schedule& schedule) {
  for (std::size_t group = 0; group < impl_->group_count; ++group) impl_->check_schedule(schedule, group);
  for (std::size_t group = 0; group < impl_->group_count; ++group) impl_->set_schedule(schedule, group);
}

void OptimizerCore::set_schedule(const Schedule& schedule, std::size_t group) {
  check_group(group);
  impl_->check_schedule(schedule, group);
  impl_->set_schedule(schedule, group);
}

const Schedule& OptimizerCore::schedule(std::size_t group) const {
  check_group(group);
  return impl_->schedules[group];
}

double OptimizerCore::lr(std::size_t group, Stream stream) const {
  check_group(group);
  const double base = impl_->ops.lr(impl_->rules.data() + group * impl_->ops.rule_bytes);
  return impl_->schedules[group].lr(base, steps(stream));
}

}  // namespace onepass
