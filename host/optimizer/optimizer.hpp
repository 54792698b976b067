// optimizer.hpp - Optimizer::Impl: everything that an optimizer owns.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/backend/backend.hpp"
#include "host/backend/rule_ops.hpp"
#include "host/check/check_parameters.hpp"
#include "host/optimizer/groups.hpp"
#include "host/optimizer/state_memory.hpp"
#include "host/optimizer/table_memory.hpp"
#include "onepass/device.hpp"
#include "onepass/optimizer.hpp"

namespace onepass {

/// The memory that enroll() allocates for new parameters.
struct Enrolled {
  std::vector<std::uint8_t> formats;  ///< Index in storage::Formats of each parameter.
  StateMemory streams;
  StateMemory gradient_sums;  ///< Has no streams if the optimizer does not accumulate gradients.
};

/// The registered parameters, in order, and the format and memory of each.
struct Roster {
  std::vector<Parameter> parameters;
  std::vector<std::uint8_t> formats;    ///< Index in storage::Formats of each parameter.
  std::vector<StreamPointers> streams;  ///< Of each parameter, in the order of streams_of().
  std::vector<void*> gradient_sums;     ///< Empty if the optimizer does not accumulate gradients.
  std::unordered_map<std::string, std::size_t> index_by_name;

  void append(std::vector<Parameter> added, const Enrolled& enrolled);
  [[nodiscard]] std::vector<std::int64_t> numels() const;
};

/// Everything that an optimizer owns. A function that rebuilds a member builds the new one aside and swaps it
/// in at the end, so that an exception changes nothing.
struct Optimizer::Impl {
  Impl(const std::vector<Rule>& rules, std::vector<Parameter> added, const Options& options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Registers `added`: checks them, allocates their streams, and builds the table of all parameters anew.
  void enroll(std::vector<Parameter> added);

  [[nodiscard]] CheckContext context() const {
    return {groups.count(), roster.parameters, handling.zero_grad};
  }
  [[nodiscard]] std::size_t find_parameter(std::string_view name) const;
  [[nodiscard]] std::size_t find_stream(std::size_t parameter, std::string_view name) const;
  /// The variant that updates a parameter.
  [[nodiscard]] const VariantOps& variant_of(const Parameter& parameter) const {
    return groups.all[parameter.group].variant_ops();
  }
  /// The streams that the optimizer keeps for a parameter in a format.
  [[nodiscard]] std::vector<StreamSpec> specs_of(const Parameter& parameter, std::uint8_t format) const {
    return streams_of(format, variant_of(parameter).states, ema);
  }
  [[nodiscard]] std::vector<StreamSpec> specs_of(std::size_t parameter) const {
    return specs_of(roster.parameters[parameter], roster.formats[parameter]);
  }
  /// The bytes of each stream, by name, summed over the parameters of a roster.
  [[nodiscard]] std::vector<StreamBytes> memory_of(const Roster& roster) const;
  [[nodiscard]] Tensor stream(std::size_t parameter, std::size_t stream) const;
  [[nodiscard]] Enrolled allocate(std::span<const Parameter> added) const;
  [[nodiscard]] step::TensorEntry entry_of(const Roster& roster, std::size_t parameter) const;
  [[nodiscard]] Tensor gradient_sum(std::size_t parameter) const;

  /// The contents of a new table. Counts and progress are taken over from the present table.
  [[nodiscard]] TableContents contents_of(const Roster& roster) const;
  [[nodiscard]] step::Control& control() const { return *table_memory.view().control; }
  [[nodiscard]] step::Progress progress(Stream stream) const {
    return table_memory.read(&control().progress, stream);
  }
  /// The programs of a roster's parameters, and the work of a step over them.
  [[nodiscard]] WorkPlan plan_of(const Roster& roster, TableContents& contents) const;
  /// Writes the table's entry of a parameter anew, in the order of the CUDA stream.
  void patch_entry(std::size_t parameter, Stream stream);

  /// Writes the states, counts and gradient sums of a dict that was checked.
  void load_parameters(const StateDict& dict, Stream stream);
  /// Replaces the rules of all groups, which were checked, in the order of the CUDA stream.
  void write_rules(const std::vector<Rule>& changed, Stream stream);
  void set_schedule(const Schedule& schedule, std::size_t group);
  /// Throws InvalidArgument unless the rules, one for each group, may replace the present ones and follow the
  /// present schedules.
  void check_rules(const std::vector<Rule>& changed) const;

  /// Writes one value into the table, in the order of the CUDA stream, without waiting.
  template <class T>
  void patch(T* to, const T& value, Stream stream) {
    backend->write(to, std::as_bytes(std::span(&value, 1)), stream);
  }
  /// Describes a place in Reduction::first_nonfinite: element 3 of "layer.weight".
  [[nodiscard]] std::string place_of(std::uint64_t place) const;

  Groups groups;
  GradientHandling handling;
  step::Settings settings;  ///< `handling`, `storage`, `ema` and the seed, as the table has them.
  StorageChoice storage;
  std::optional<EMA> ema;
  bool accumulates;
  Roster roster;
  Device device;
  std::unique_ptr<Backend> backend;
  std::int64_t chunk_size = 0;
  std::vector<StateMemory> state_memory;  ///< One for each registration.
  TableMemory table_memory;
};

}  // namespace onepass
