// backend.hpp - the interface of the CPU and the CUDA backend: how a table is stepped on a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/backend/axis_plan.hpp"
#include "host/backend/plan.hpp"
#include "host/backend/rule_ops.hpp"
#include "onepass/device.hpp"
#include "onepass/options.hpp"
#include "onepass/stream.hpp"
#include "step/perturb.hpp"
#include "step/shard_measure.hpp"
#include "step/table.hpp"

namespace onepass {

/// A variant of a rule in one storage format, which updates a tensor. One launch updates all tensors of a
/// program, and rules that share their loops and kernels share it.
struct Program {
  const VariantOps* variant;
  std::uint8_t format;
  bool takes_sums;  ///< Whether any of its tensors' steps takes sums.

  friend bool operator==(const Program& a, const Program& b) {
    return a.format == b.format && a.variant->updates_like(*b.variant);
  }
};

/// A type of rule that tensors of the table have.
struct PreparedRule {
  const RuleOps* ops;
  std::uint32_t number;  ///< TensorEntry::rule of its tensors; step::kEveryRule if it is the only one.
  bool takes_sums;       ///< Whether any of its tensors' steps takes sums.
};

/// The work of a step.
struct WorkPlan {
  std::vector<PreparedRule> rules;   ///< At least one.
  std::vector<Program> programs;     ///< By ProgramRun::program.
  std::vector<ProgramRun> runs;      ///< The runs of the table's chunks.
  std::vector<std::int64_t> chunks;  ///< element_offsets() of the chunks.
  std::vector<std::int64_t> pieces;  ///< element_offsets() of the pieces that a reduction works on.
  std::vector<AxisRun> axis_runs;    ///< The sums over rows and columns, by program.
  std::vector<std::int64_t> axis_tiles, axis_lines, axis_matrices;  ///< Offsets of their parts.
  std::size_t groups;                                               ///< Number of parameter groups.
  bool has_followers;  ///< Whether any tensor has slow weights, an average or a 16-bit copy.
  double bytes;        ///< Total size of all streams of all tensors.
};

/// The form in which a backend keeps the work of a WorkPlan.
class PlannedWork {
 public:
  PlannedWork() = default;
  virtual ~PlannedWork() = default;
  PlannedWork(const PlannedWork&) = delete;
  PlannedWork& operator=(const PlannedWork&) = delete;
};

/// The tensors that a new table has and the one before it had not. Their streams have no contents, and those
/// that have some are null in the table.
struct NewTensors {
  std::uint32_t first;                        ///< All tensors from this one on.
  std::vector<std::span<std::byte>> to_zero;  ///< Hold all streams that begin as zeros; on the device.
  bool copies_parameters;                     ///< Whether any stream begins as the parameter.
};

/// The bytes of a stream, which were saved in the host's memory.
struct SavedStream {
  std::byte* to;  ///< The stream, on the backend's device.
  std::span<const std::byte> from;
  std::size_t element;  ///< Bytes of one element, or of one scale.
  bool are_scales;      ///< It has one element for each block.
};

/// Steps one optimizer's table on one device.
class Backend {
 public:
  virtual ~Backend() = default;

  /// Elements of a chunk if Options::chunk_size is 0.
  [[nodiscard]] virtual std::int64_t default_chunk_size() const = 0;

  /// Gives the streams of a table's new tensors their first contents: zeros, or the parameter
  /// (step/start.hpp). It needs no further memory, and copies nothing to another device. On the CPU the
  /// threads that will step an element write its streams, if the table is then planned. Waits until it is
  /// done.
  virtual void start(const step::Table& table, const WorkPlan& plan, const NewTensors& added) = 0;

  /// Takes over the work of a table. The optimizer calls it once for every table it builds.
  virtual void plan(const WorkPlan& plan) = 0;

  /// Copies saved streams to the planned table's tensors: `saved` has a list for each of them, which may be
  /// empty. Waits for the CUDA stream.
  virtual void load(const step::Table& table, std::span<const std::vector<SavedStream>> saved,
                    Stream stream) = 0;

  /// Steps the table. With a norm, it first measures the gradients, into the table's control.
  virtual void step(const step::Table& table, std::optional<step::Measure> norm, Stream stream) = 0;
  /// Steps the table up to the sums over tensors, and gives these to the caller (step/shard_measure.hpp).
  virtual void begin_step(const step::Table& table, std::optional<step::Measure> norm, std::int64_t* sums,
                          Stream stream) = 0;
  /// Ends such a step with the caller's sums.
  virtual void finish_step(const step::Table& table, const std::int64_t* sums, Stream stream) = 0;
  /// Makes the work of a part of the planned table's tensors.
  [[nodiscard]] virtual std::unique_ptr<PlannedWork> plan_part(const WorkPlan& plan) = 0;
  /// Steps a part of a round: the tensors that the table has chosen. `work` is that of plan_part().
  virtual void step_part(const step::Table& table, std::optional<step::Measure> norm, PlannedWork& work,
                         Stream stream) = 0;
  virtual void end_round(const step::Table& table, Stream stream) = 0;
  /// Returns whether a CUDA graph is being captured on the stream.
  [[nodiscard]] virtual bool is_capturing(Stream stream) const = 0;

  /// Measures the gradients and gives the measure to the caller.
  virtual void measure(const step::Table& table, step::Measure norm, const step::ShardMeasure& to,
                       Stream stream) = 0;
  /// Takes the caller's measure for the next step, which then needs no norm.
  virtual void take_measure(const step::Table& table, const step::ShardMeasure& from, Stream stream) = 0;
  /// Measures what a perturbation would move the parameters by, and gives the measure to the caller.
  virtual void measure_perturbation(const step::Table& table, const step::Perturbation& how,
                                    std::int64_t* words, Stream stream) = 0;
  /// Keeps the parameters, and moves them (step/perturb.hpp). `words`: the measure of all shards; null to
  /// measure here.
  virtual void perturb(const step::Table& table, const step::Perturbation& how, const std::int64_t* words,
                       Stream stream) = 0;
  /// Puts the parameters back.
  virtual void restore(const step::Table& table, const step::Perturbation& how, Stream stream) = 0;
  virtual void zero_grad(const step::Table& table, Stream stream) = 0;
  virtual void accumulate(const step::Table& table, const step::MicroBatch& batch, Stream stream) = 0;
  /// Adds the penalty of all parameters (Measure::penalty) to the table's control.
  virtual void penalty(const step::Table& table, Stream stream) = 0;

  /// Copies one number to where the host can read it at any time, without waiting: fetched() is NaN until the
  /// first one has arrived.
  virtual void fetch(const double* number, Stream stream) = 0;
  [[nodiscard]] virtual double fetched() const = 0;

  /// Writes a multiple of 8 bytes into a table, in the order of the CUDA stream, without waiting.
  virtual void write(void* to, std::span<const std::byte> bytes, Stream stream) = 0;

  /// Waits until all steps so far are done.
  virtual void wait() noexcept = 0;
};

/// The arguments of make_cpu_backend() and make_cuda_backend().
struct BackendRequest {
  std::span<const RuleOps* const> rules;  ///< The types of rules that the backend will step.
  Device device;
  const Options& options;
};

/// Each throws InvalidArgument if it cannot provide the options or the device.
std::unique_ptr<Backend> make_cpu_backend(const BackendRequest& request);
std::unique_ptr<Backend> make_cuda_backend(const BackendRequest& request);

}  // namespace onepass
