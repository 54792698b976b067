// optimizer_core.hpp - what every Optimizer<Rule> does, whatever the rule: one non-template class.
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

/// How an optimizer works. Results depend on `storage`, `seed` and `ema` alone.
struct Options {
  std::int64_t chunk_size =
      0;                   ///< Elements of one piece of work, a multiple of 64; 0: what suits the device.
  int threads = 0;         ///< CPU: at most so many; 0: ONEPASS_THREADS, or all this process may use.
  Isa isa = Isa::best;     ///< CPU: instruction set; best: ONEPASS_ISA, or the widest that there is.
  Storage storage = {};    ///< What belongs to 16-bit parameters.
  std::uint64_t seed = 0;  ///< Of stochastic rounding.
  std::optional<EMA> ema = std::nullopt;  ///< A moving average of each parameter.
  bool accumulates_gradients = false;     ///< A float32 sum of gradients for each parameter: accumulate().
};

/// One state of one parameter, as it lies in memory.
struct SavedState {
  std::string name;  ///< "exp_avg"
  DType dtype = DType::float32;
  std::vector<std::byte> bytes;
};

/// What an optimizer remembers of one parameter.
struct SavedParameter {
  std::string name;
  std::int64_t step = 0;  ///< Steps taken.
  std::vector<SavedState> states;
  std::int64_t accumulated = 0;         ///< Micro-batches since the last step.
  std::vector<std::byte> gradient_sum;  ///< Of those, in float32; empty where there are none.
};

/// All that an optimizer remembers. Of the hyperparameters it has the learning rates alone.
struct StateDict {
  std::string rule;        ///< "AdamW"
  std::int64_t steps = 0;  ///< Taken: where a schedule stands.
  std::int64_t skipped_steps = 0;
  std::int64_t micro_batches = 0;   ///< Accumulated since the last step.
  float loss_scale = 0.0f;          ///< As the loss scaler has it now; 0 where there is none.
  std::int64_t growth_tracker = 0;  ///< Steps since the loss scale last changed.
  std::uint64_t seed = 0;           ///< Of stochastic rounding.
  std::vector<double> lrs;          ///< Base rate of each group; empty leaves them as they are.
  std::vector<Schedule> schedules;  ///< One a group; empty leaves them as they are.
  std::vector<SavedParameter> parameters;
};

/// Bytes of one stream of numbers, of all parameters together.
struct StreamBytes {
  std::string name;  ///< "param", "grad", "master" or "remainder", "exp_avg", ...
  double bytes;
};

/// What the core needs to know of a rule; made by the library, or by onepass_add_rule() for a rule of one's
/// own.
struct RuleOps;
template <class Rule>
const RuleOps& rule_ops();  // defined in generated files only: host/backend/rule.cpp.in

/// The rules of all groups, one after the other, as bytes.
struct RuleBlob {
  std::span<const std::byte> bytes;
  std::size_t count;
};

/// The contracts are those of Optimizer (optimizer.hpp).
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

  struct Impl;  ///< Defined and used in host/ alone.

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace onepass
