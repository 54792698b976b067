// backend.hpp - what differs between devices: how a table is stepped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/backend/plan.hpp"
#include "host/backend/rule_ops.hpp"
#include "onepass/device.hpp"
#include "onepass/optimizer_core.hpp"
#include "step/table.hpp"

namespace onepass {

/// What there is to do in a step.
struct WorkPlan {
  std::vector<FormatRun> runs;       ///< Of the table's chunks.
  std::vector<std::int64_t> chunks;  ///< As element_offsets() makes them.
  std::vector<std::int64_t> pieces;  ///< The same of a reduction.
  bool has_followers;                ///< Whether any tensor has an average or a copy.
  double bytes;                      ///< That all streams of all tensors take.
};

class Backend {
 public:
  virtual ~Backend() = default;

  /// Elements of a chunk where the caller has no opinion.
  [[nodiscard]] virtual std::int64_t default_chunk_size() const = 0;

  /// Told once whenever the table is built anew.
  virtual void plan(const WorkPlan& plan) = 0;

  /// With a norm: measures the gradients first, into the table's control.
  virtual void step(const step::Table& table, std::optional<step::Measure> norm, Stream stream) = 0;
  virtual void zero_grad(const step::Table& table, Stream stream) = 0;
  virtual void accumulate(const step::Table& table, Stream stream) = 0;
  /// Adds Measure::penalty of every parameter to the table's control.
  virtual void penalty(const step::Table& table, Stream stream) = 0;

  /// Copies one number to where the host can read it at any time, without waiting: fetched() is NaN until
  /// the first has arrived.
  virtual void fetch(const double* number, Stream stream) = 0;
  [[nodiscard]] virtual double fetched() const = 0;

  /// Writes a multiple of 8 bytes into a table, in the order of the stream, without waiting.
  virtual void write(void* to, std::span<const std::byte> bytes, Stream stream) = 0;

  /// Waits until every step so far is done.
  virtual void wait() noexcept = 0;
};

/// One variant of a rule, stepped on a device.
struct BackendRequest {
  const RuleOps& ops;
  unsigned variant;
  Device device;
  const Options& options;
};

/// Throws InvalidArgument if the options or the device are not to be had.
std::unique_ptr<Backend> make_cpu_backend(const BackendRequest& request);
std::unique_ptr<Backend> make_cuda_backend(const BackendRequest& request);

}  // namespace onepass
