// optimizer.hpp - Optimizer::Impl: everything that an optimizer owns.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/backend/backend.hpp"
#include "host/backend/rule_ops.hpp"
#include "host/check/check_parameters.hpp"
#include "host/optimizer/groups.hpp"
#include "host/optimizer/memory/perturb_memory.hpp"
#include "host/optimizer/memory/table_memory.hpp"
#include "host/optimizer/roster.hpp"
#include "onepass/device.hpp"
#include "onepass/optimizer.hpp"

namespace onepass {

/// A set of parameters that step_some() has been given: what is theirs in the table, on the device.
struct RoundPart {
  DeviceBuffer chunks, pieces, chosen, axis_tiles, axis_lines, axis_matrices;
  std::int64_t chunk_count;
  std::int64_t piece_count;
  std::int64_t chosen_count;
  std::unique_ptr<PlannedWork> work;
};

/// The round that step_some() is in. Parts are made once for each set of parameters, in ascending order.
struct Round {
  std::map<std::vector<std::uint32_t>, RoundPart> parts;
  std::vector<bool> stepped;  ///< One for each parameter: whether this round has stepped it.
  std::map<std::string, RoundPart, std::less<>> sweeps;  ///< The parameters of each sweep, by its name.

  [[nodiscard]] bool is_open() const { return std::ranges::find(stepped, true) != stepped.end(); }
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
  /// Removes parameters, and frees the memory that no other parameter shares.
  void remove(std::span<const std::string> names);
  /// Steps parameters, given by their numbers, as a part of a round.
  void step_some(std::vector<std::uint32_t> which, Stream stream);
  /// Returns the part of these parameters, whose numbers are in ascending order. Makes it if there is none.
  RoundPart& part_of(const std::vector<std::uint32_t>& which, Stream stream);
  /// Makes the part of these parameters, whose numbers are in ascending order: for steps, or for a sweep.
  [[nodiscard]] RoundPart made_part(const std::vector<std::uint32_t>& which, const char* function,
                                    std::string_view sweep, Stream stream) const;
  /// Returns the table with the chunks of a part alone.
  [[nodiscard]] step::Table table_of(const RoundPart& part) const;
  void sweep(std::string_view name, Stream stream);
  /// The first half of a step. Throws InvalidArgument unless `into` can hold the sums over tensors.
  void begin_step(const Tensor& into, std::optional<step::Measure> norm, Stream stream);
  /// Returns the words of the sums that a function was given. Throws InvalidArgument if they do not fit.
  [[nodiscard]] std::int64_t* checked_sums(const char* function, const Tensor& sums) const;
  /// Returns the words of `given`, the argument `what` of a function. Throws InvalidArgument unless it is
  /// `numel` int64 on the optimizer's device. `why`: what says this number.
  [[nodiscard]] std::int64_t* checked_words(const std::string& what, const Tensor& given, std::int64_t numel,
                                            const char* why) const;
  /// Returns the words of the measure for a perturbation that a function was given, checked likewise.
  [[nodiscard]] std::int64_t* checked_perturb_measure(const char* function, const Tensor& measure) const;
  /// Returns the arguments of a perturbation, and allocates what it keeps if it is the first. Throws
  /// InvalidArgument if a member of `sam` is out of range, or parameters are perturbed or in a round.
  [[nodiscard]] step::Perturbation perturbation(const char* function, const Sam& sam, Stream stream);
  /// Puts the parameters back if they are perturbed.
  void restore(Stream stream);
  /// Throws InvalidArgument if the parameters are perturbed.
  void require_unperturbed(const char* function) const;
  /// Throws InvalidArgument in the middle of a round, and between begin_step() and finish_step().
  void require_no_round(const char* function) const;
  /// Throws InvalidArgument between begin_step() and finish_step().
  void require_none_begun(const char* function) const;
  /// Forgets all parts and what perturbations keep, when parameters have joined or left.
  void forget_parts();
  /// Replaces the memory of parameters, in the order of the CUDA stream.
  void move(const std::vector<Parameter>& moved, Stream stream);

  [[nodiscard]] CheckContext context() const { return context(roster); }
  [[nodiscard]] CheckContext context(const Roster& of) const {
    return {groups.count(), of.parameters, handling.zero_grad, of.own_memory()};
  }
  /// Returns whether the first table was built.
  [[nodiscard]] bool is_built() const { return table_memory.view().control != nullptr; }
  [[nodiscard]] std::size_t find_parameter(std::string_view name) const;
  /// Returns the numbers of all parameters but those named. Throws InvalidArgument if a name is unknown, or
  /// occurs twice.
  [[nodiscard]] std::vector<std::size_t> all_but(std::span<const std::string> names) const;
  /// Returns the memory of a state, of its scales, or of another stream that specs_of() lists.
  [[nodiscard]] Tensor find_stream(std::size_t parameter, std::string_view name) const;
  /// The variant that updates a parameter.
  [[nodiscard]] const VariantOps& variant_of(const Parameter& parameter) const {
    return groups.all[parameter.group].variant_of(parameter);
  }
  /// The streams that the optimizer keeps for a parameter in a format.
  [[nodiscard]] std::vector<StreamSpec> specs_of(const Parameter& parameter, std::uint8_t format) const {
    return streams_of(format, variant_of(parameter), keeps, matrices_of(parameter));
  }
  [[nodiscard]] std::vector<StreamSpec> specs_of(std::size_t parameter) const {
    return specs_of(roster.parameters[parameter], roster.formats[parameter]);
  }
  /// The bytes of each stream, by name, summed over the parameters of a roster.
  [[nodiscard]] std::vector<StreamBytes> memory_of(const Roster& roster) const;
  [[nodiscard]] Enrolled allocate(std::span<const Parameter> added) const;
  [[nodiscard]] step::TensorEntry entry_of(const Roster& roster, std::size_t parameter) const;
  /// The matrices of a parameter, and where the states and sums of their rows and columns lie.
  [[nodiscard]] step::AxisEntry axes_of(const Roster& roster, std::size_t parameter) const;
  /// The rows of parameters in the table.
  [[nodiscard]] TableRows rows_of(const Roster& roster, RowRange range) const;
  [[nodiscard]] Tensor gradient_sum(std::size_t parameter) const;

  /// The contents of a new table. Counts and progress are taken over from the present table. `kept`: the
  /// present numbers of the parameters with which the roster begins; the others are new.
  [[nodiscard]] TableContents contents_of(const Roster& roster, std::span<const std::size_t> kept) const;
  [[nodiscard]] step::Control& control() const { return *table_memory.view().control; }
  [[nodiscard]] step::Progress progress(Stream stream) const {
    return table_memory.read(&control().progress, stream);
  }
  /// Cuts a roster's parameters into chunks and pieces.
  void cut(const Roster& roster, TableContents& contents) const;
  /// Cuts the matrices of the parameters with these numbers.
  [[nodiscard]] AxisWork axis_work_of(const Roster& roster, std::span<const std::size_t> program_of_tensor,
                                      std::span<const std::uint32_t> numbers) const;
  /// The programs of the parameters with these numbers, and the work of a step over the chunks.
  [[nodiscard]] WorkPlan plan_of(const Roster& roster, TableContents& contents,
                                 std::span<const std::uint32_t> numbers) const;
  /// The same of all parameters.
  [[nodiscard]] WorkPlan plan_of(const Roster& roster, TableContents& contents) const;
  /// Returns the measure that a step takes of the gradients, or nothing if it takes none.
  [[nodiscard]] std::optional<step::Measure> measured() const {
    return settings.measures_gradients != 0 ? std::optional(settings.norm) : std::nullopt;
  }
  /// Writes the table's entry of a parameter anew, in the order of the CUDA stream.
  void patch_entry(std::size_t parameter, Stream stream);

  /// Checks the memory that the caller gives for streams of parameters.
  void check_streams(std::span<const Parameter> parameters) const;
  /// Gives the streams of the parameters from number `first` on their first contents, and waits until that is
  /// done. `built` is the table of `contents`.
  void start(const Roster& next, std::size_t first, const TableContents& contents, const WorkPlan& plan,
             const TableMemory& built) const;

  /// Throws InvalidArgument if a counter of the caller's, of new parameters, holds no count.
  void check_counters(std::span<const Parameter> added) const;
  /// Writes 0 into the counters of the caller's that have no contents.
  void start_counters(std::span<const Parameter> added) const;
  /// Returns the number of steps that each parameter has taken. Throws InvalidArgument if a counter of the
  /// caller's holds no count.
  [[nodiscard]] std::vector<std::int64_t> step_counts(Stream stream) const;
  /// Writes the number of steps into the caller's counter, if there is one.
  void write_counter(std::size_t parameter, std::int64_t steps, Stream stream) const;
  /// Throws InvalidArgument, which names the parameter, if a step has left one out because of its counter.
  void report_miscounted(std::uint64_t parameter, Stream stream);

  /// Copies what a state dict has of a parameter to the host.
  [[nodiscard]] SavedParameter saved(std::size_t parameter, Stream stream) const;
  /// Throws InvalidArgument unless load_checked() may load the dict. Returns what load_state_dict() does.
  [[nodiscard]] LoadedDict check_dict(const StateDict& dict, const LoadOptions& options, Stream stream) const;
  /// Loads a dict that was checked.
  void load_checked(const StateDict& dict, Stream stream);
  /// Writes the states, counts and gradient sums of a dict that was checked.
  void load_parameters(const StateDict& dict, Stream stream);
  /// Replaces the rules of all groups, which were checked, in the order of the CUDA stream.
  void write_rules(const std::vector<Rule>& changed, Stream stream);
  void set_schedule(const Schedule& schedule, std::size_t group);
  /// Throws InvalidArgument unless the rules, one for each group, may replace the present ones and follow the
  /// present schedules.
  void check_rules(const std::vector<Rule>& changed) const;
  /// Throws InvalidArgument if a state of a parameter would be too long an average for 8 bits.
  void check_averages(const std::vector<Rule>& rules, std::span<const Parameter> parameters) const;

  /// Writes one value into the table, in the order of the CUDA stream, without waiting.
  template <class T>
  void patch(T* to, const T& value, Stream stream) {
    backend->write(to, std::as_bytes(std::span(&value, 1)), stream);
  }
  /// Describes a place in Reduction::first_nonfinite: element 3 of "layer.weight".
  [[nodiscard]] std::string place_of(std::uint64_t place) const;
  /// Returns Progress::nonfinite as it is after all parameters but the kept ones were removed.
  [[nodiscard]] std::uint64_t place_among(std::span<const std::size_t> kept, std::uint64_t place) const;

  Groups groups;
  GradientHandling handling;
  step::Settings settings;  ///< `handling`, `storage`, `keeps` and the seed, as the table has them.
  StorageChoice storage;
  Kept keeps;
  bool accumulates;
  Roster roster;
  Device device;
  std::unique_ptr<Backend> backend;
  std::int64_t chunk_size = 0;
  TableMemory table_memory;
  Round round;
  bool begun = false;            ///< begin_step() was called, and finish_step() not yet.
  PerturbMemory perturb_memory;  ///< Made by the first perturbation of these parameters.
  bool perturbed = false;        ///< The parameters are where perturb() has moved them.
};

}  // namespace onepass
