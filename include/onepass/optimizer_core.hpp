// optimizer_core.hpp - the part of Optimizer<Rule> that does not depend on the rule, as a non-template class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "onepass/cpu.hpp"
#include "onepass/ema.hpp"
#include "onepass/gradients.hpp"
#include "onepass/parameter.hpp"
#include "onepass/schedules/schedule.hpp"
#include "onepass/storage/storage.hpp"
#include "onepass/stream.hpp"

namespace onepass {

/// Options of an optimizer. Only `storage`, `seed` and `ema` change the result.
struct Options {
  std::int64_t chunk_size = 0;  ///< Elements of a chunk, a multiple of 64; 0: chosen for the device.
  int threads = 0;         ///< CPU: largest number of threads; 0: ONEPASS_THREADS, or all usable processors.
  Isa isa = Isa::best;     ///< CPU: instruction set; best: ONEPASS_ISA, or the widest available.
  Storage storage = {};    ///< Master, states and rounding of 16-bit parameters.
  std::uint64_t seed = 0;  ///< Seed of stochastic rounding.
  std::optional<EMA> ema = std::nullopt;  ///< If set, keeps a moving average of each parameter.
  bool accumulates_gradients = false;     ///< Keeps a float32 gradient sum per parameter, for accumulate().
};

/// One state of one parameter, with the bytes it has in memory.
struct SavedState {
  std::string name;  ///< PyTorch's name, such as "exp_avg".
  DType dtype = DType::float32;
  std::vector<std::byte> bytes;
};

/// The saved state of one parameter.
struct SavedParameter {
  std::string name;
  std::int64_t step = 0;  ///< Steps that the parameter has taken.
  std::vector<SavedState> states;
  std::int64_t accumulated = 0;         ///< Micro-batches accumulated since the last step.
  std::vector<std::byte> gradient_sum;  ///< Their float32 gradient sum; empty if `accumulated` is 0.
};

/// The whole state of an optimizer. Its only hyperparameters are the learning rates.
struct StateDict {
  std::string rule;        ///< Name of the rule, such as "AdamW".
  std::int64_t steps = 0;  ///< Steps taken, skipped ones excluded; schedules are evaluated at this count.
  std::int64_t skipped_steps = 0;
  std::int64_t micro_batches = 0;   ///< Micro-batches accumulated since the last step.
  float loss_scale = 0.0f;          ///< Current scale of the loss scaler; 0 without a loss scaler.
  std::int64_t growth_tracker = 0;  ///< Steps since the loss scale last changed.
  std::uint64_t seed = 0;           ///< Seed of stochastic rounding.
  std::vector<double> lrs;          ///< Base learning rate of each group; if empty, loading keeps the rates.
  std::vector<Schedule> schedules;  ///< Schedule of each group; if empty, loading keeps the schedules.
  std::vector<SavedParameter> parameters;
};

/// Bytes of one stream of numbers, summed over all parameters.
struct StreamBytes {
  std::string name;  ///< "param", "grad", "master" or "remainder", "exp_avg", ...
  double bytes;
};

/// The functions through which the core uses a rule. The library generates them for its own rules, and the
/// CMake function onepass_add_rule() generates them for yours.
struct RuleOps;
/// Returns the generated functions of a rule.
template <class Rule>
const RuleOps& rule_ops();  // defined in generated files only: host/rule/rule.cpp.in

/// The bytes of the rules of all groups, one after the other.
struct RuleBlob {
  std::span<const std::byte> bytes;
  std::size_t count;
};

/// Does the work of Optimizer for any rule. Each function has the contract of the Optimizer function with the
/// same name (optimizer.hpp).
class OptimizerCore {
 public:
  OptimizerCore(const RuleOps& ops, RuleBlob rules, std::vector<Parameter> parameters,
                const Options& options);
  ~OptimizerCore();
  OptimizerCore(OptimizerCore&&) noexcept;
  OptimizerCore& operator=(OptimizerCore&&) noexcept;

  void step(Stream stream);
  void zero_grad(Stream stream);
  void write_rules(RuleBlob rules, Stream stream);
  void set_gradients(std::span<const Tensor> gradients, Stream stream);
  void accumulate(Stream stream);
  void set_gradient_handling(const GradientHandling& handling, Stream stream);
  void set_schedule(const Schedule& schedule);
  void set_schedule(const Schedule& schedule, std::size_t group);
  [[nodiscard]] const Schedule& schedule(std::size_t group) const;
  [[nodiscard]] double lr(std::size_t group, Stream stream) const;
  void add_parameters(std::vector<Parameter> parameters);
  [[nodiscard]] std::vector<StreamBytes> memory() const;
  [[nodiscard]] std::vector<StreamBytes> traffic() const;

  void check_group(std::size_t group) const;
  [[nodiscard]] Device device() const;
  [[nodiscard]] std::size_t parameter_count() const;
  [[nodiscard]] std::span<const char* const> state_names() const;
  [[nodiscard]] Tensor state(std::string_view parameter, std::string_view state);
  [[nodiscard]] std::int64_t step_count(std::string_view parameter, Stream stream) const;
  [[nodiscard]] std::int64_t steps(Stream stream) const;
  [[nodiscard]] std::int64_t skipped_steps(Stream stream) const;
  [[nodiscard]] const GradientHandling& gradient_handling() const;
  void fetch_grad_norm(Stream stream);
  [[nodiscard]] double fetched_grad_norm() const;
  [[nodiscard]] double grad_norm(Stream stream) const;
  [[nodiscard]] double penalty(Stream stream) const;
  [[nodiscard]] float loss_scale(Stream stream) const;
  [[nodiscard]] const float* loss_scale_pointer() const;
  void check(Stream stream);
  [[nodiscard]] StateDict state_dict(Stream stream) const;
  void load_state_dict(const StateDict& dict, Stream stream);

  struct Impl;  ///< Private to the library's sources.

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace onepass
