// optimizer_core.hpp - the members of OptimizerCore.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/backend/backend.hpp"
#include "host/backend/rule_ops.hpp"
#include "host/check/check_parameters.hpp"
#include "host/optimizer/state_memory.hpp"
#include "host/optimizer/table_memory.hpp"
#include "onepass/device.hpp"
#include "onepass/optimizer_core.hpp"

namespace onepass {

/// What registration makes of new parameters.
struct Enrolled {
  std::vector<std::uint8_t> formats;
  StateMemory streams;
  StateMemory gradient_sums;  ///< Without streams where gradients are not accumulated.
};

/// The registered parameters, in order, and what belongs to each.
struct Roster {
  std::vector<Parameter> parameters;
  std::vector<std::uint8_t> formats;
  std::vector<StreamPointers> streams;  ///< The rule's states, then what a parameter lacks of its master.
  std::vector<void*> gradient_sums;     ///< Empty where gradients are not accumulated.
  std::unordered_map<std::string, std::size_t> index_by_name;

  void append(std::vector<Parameter> added, const Enrolled& enrolled);
  [[nodiscard]] std::vector<std::int64_t> numels() const;
};

/// A schedule as the prepare kernel reads it.
struct ScheduleMemory {
  DeviceBuffer block;
  schedule::View view{};

  /// Allocates, writes, and waits until it is there. Nothing for a schedule that is none.
  static ScheduleMemory allocate(Device device, const Schedule& schedule);
};

/// Everything an optimizer owns. What a method builds anew it builds aside and swaps in at the end, so that
/// an exception leaves all as it was.
struct OptimizerCore::Impl {
  Impl(const RuleOps& rule_ops, RuleBlob rule_blob, std::vector<Parameter> added, const Options& options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Checks, allocates states for `added` and builds the table over all parameters.
  void enroll(std::vector<Parameter> added);

  [[nodiscard]] const VariantOps& variant_ops() const { return ops.variants[variant]; }
  [[nodiscard]] CheckContext context() const { return {ops.name, group_count, roster.parameters}; }
  [[nodiscard]] std::size_t find_parameter(std::string_view name) const;
  [[nodiscard]] std::size_t find_stream(std::size_t parameter, std::string_view name) const;
  [[nodiscard]] std::vector<StreamSpec> specs_of(std::size_t parameter) const {
    return streams_of(roster.formats[parameter], variant_ops().states, ema);
  }
  /// What the streams of its parameters take, by name.
  [[nodiscard]] std::vector<StreamBytes> memory_of(const Roster& roster) const;
  [[nodiscard]] Tensor stream(std::size_t parameter, std::size_t stream) const;
  [[nodiscard]] Enrolled allocate(std::span<const Parameter> added) const;
  [[nodiscard]] step::TensorEntry entry_of(const Roster& roster, std::size_t parameter) const;
  [[nodiscard]] Tensor gradient_sum(std::size_t parameter) const;

  /// The table; what has been counted is as it is now.
  [[nodiscard]] TableContents contents_of(const Roster& roster) const;
  [[nodiscard]] step::Control& control() const { return *table_memory.view().control; }
  [[nodiscard]] step::Progress progress(Stream stream) const {
    return table_memory.read(&control().progress, stream);
  }
  /// Writes a parameter's entry anew, in the order of the stream.
  void patch_entry(std::size_t parameter, Stream stream);

  /// Throws InvalidArgument if the schedule drives a momentum that the group has no state for.
  void check_schedule(const Schedule& schedule, std::size_t group) const;
  void set_schedule(const Schedule& schedule, std::size_t group);

  /// Writes one part of the tables, in the order of the stream, without waiting.
  template <class T>
  void patch(T* to, const T& value, Stream stream) {
    backend->write(to, std::as_bytes(std::span(&value, 1)), stream);
  }
  /// "element 3 of "layer.weight"", for a place in Reduction::first_nonfinite.
  [[nodiscard]] std::string place_of(std::uint64_t place) const;

  const RuleOps& ops;
  std::vector<std::byte> rules;  ///< As the table has them.
  GradientHandling handling;
  step::Settings settings;  ///< What `handling` and `storage` say, as the table has it.
  Storage storage;
  std::optional<EMA> ema;
  bool accumulates;
  std::vector<Schedule> schedules;              ///< One a group.
  std::vector<ScheduleMemory> schedule_memory;  ///< The same on the device.
  std::size_t group_count;
  unsigned variant;
  Roster roster;
  Device device;
  std::unique_ptr<Backend> backend;
  std::int64_t chunk_size = 0;
  std::vector<StateMemory> state_blocks;  ///< One for each registration.
  TableMemory table_memory;
};

/// Of each group, as the table has them.
std::vector<step::Penalty> penalties_of(const RuleOps& ops, std::span<const std::byte> rules);

/// The union of the variants that the groups ask for, each group's hyperparameters checked.
/// Throws InvalidArgument.
unsigned check_rules(const RuleOps& ops, RuleBlob rules);

}  // namespace onepass
