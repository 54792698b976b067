// table_memory.hpp - the table of a model (step/table.hpp), in one allocation of the device's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "host/backend/axis_plan.hpp"
#include "onepass/device.hpp"
#include "step/table.hpp"

namespace onepass {

/// Rows of the table that have addresses, one for each tensor.
struct TableRows {
  std::vector<step::TensorEntry> tensors;
  std::vector<step::AxisEntry> axes;  ///< Empty if no rule keeps numbers for rows and columns.
  std::vector<void*> grads;
  std::vector<void*> incoming;  ///< Empty if the optimizer does not accumulate gradients.
  std::vector<step::Counter> counters;

  /// Returns whether the caller has any counter.
  [[nodiscard]] bool has_counters() const;
};

/// The rows [first, last).
struct RowRange {
  std::size_t first;
  std::size_t last;
};

/// The contents of a new table.
struct TableContents {
  TableRows rows;
  std::vector<std::int64_t> steps;        ///< One for each tensor.
  std::vector<std::int64_t> accumulated;  ///< One for each tensor.
  std::vector<step::Chunk> chunks;
  std::vector<step::Piece> pieces;
  AxisWork axis_work;
  std::vector<step::Penalty> penalties;
  std::vector<schedule::View> schedules;
  std::vector<std::byte> rules;
  std::size_t rule_bytes = 0;         ///< Size of the room for one rule.
  std::size_t coefficient_bytes = 0;  ///< Size of one tensor's coefficients, which every step writes.
  std::size_t sum_count = 0;          ///< Groups::sum_count().
  std::vector<double> group_norms;    ///< One for each group.
  std::vector<double> tensor_norms;   ///< One for each tensor.
  step::Control control{};
};

/// Owns a table.
class TableMemory {
 public:
  TableMemory() = default;
  /// Allocates and writes a table, and waits until it is written.
  TableMemory(Device device, const TableContents& contents);

  /// The table: pointers into the allocation.
  [[nodiscard]] const step::Table& view() const { return view_; }
  /// Copies values to memory of their own on the table's device, and waits until they are written.
  template <class T>
  [[nodiscard]] DeviceBuffer copy_of(const std::vector<T>& values) const {
    DeviceBuffer made(memory_.device(), values.size() * sizeof(T));
    copy({made.device(), made.data()}, {Device::cpu(), values.data()}, made.bytes());
    return made;
  }
  /// Replaces the rows of all tensors, and waits until they are written.
  void write(const TableRows& rows) const;

  // Each of these waits for the CUDA stream.
  template <class T>
  [[nodiscard]] T read(const T* from, Stream stream) const {
    T value;
    copy({Device::cpu(), &value}, {memory_.device(), from}, sizeof value, stream);
    return value;
  }
  /// Reads or writes one count for each tensor.
  [[nodiscard]] std::vector<std::int64_t> read_counts(const std::int64_t* from, Stream stream) const;
  /// Reads the norm of each group, or of each tensor.
  [[nodiscard]] std::vector<double> read_norms(const double* from, std::int64_t count) const;
  void write_counts(std::int64_t* to, std::span<const std::int64_t> counts, Stream stream);

 private:
  DeviceBuffer memory_;
  step::Table view_{};
};

}  // namespace onepass
