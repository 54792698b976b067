// table_memory.hpp - the tables of a model, in one block of the device's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/table.hpp"
#include "onepass/device.hpp"

namespace onepass {

/// What a table starts with.
struct TableContents {
  std::vector<kernels::TensorEntry> tensors;
  std::vector<void*> grads;
  std::vector<std::int64_t> steps;
  std::vector<kernels::Chunk> chunks;
  std::int64_t chunk_size = 0;
  std::int64_t skipped = 0;
  std::span<const std::byte> rules;
  std::size_t coefficient_bytes = 0;  ///< Of one tensor; written by every step.
};

class TableMemory {
 public:
  TableMemory() = default;
  /// Allocates, writes, and waits until it is there.
  TableMemory(Device device, const TableContents& contents);

  /// Pointers into the block; found_inf is null.
  [[nodiscard]] const kernels::Table& view() const { return view_; }

  [[nodiscard]] void* rules() const { return const_cast<void*>(view_.rules); }
  [[nodiscard]] void* grad_entry(std::size_t tensor) const {
    return const_cast<void**>(view_.grads) + tensor;
  }

  /// Each waits for the stream.
  [[nodiscard]] std::vector<std::int64_t> steps(Stream stream) const;
  [[nodiscard]] std::int64_t step(std::size_t tensor, Stream stream) const;
  [[nodiscard]] std::int64_t skipped(Stream stream) const;
  void write_steps(std::span<const std::int64_t> steps, std::int64_t skipped, Stream stream);

 private:
  DeviceBuffer memory_;
  kernels::Table view_{};
};

}  // namespace onepass
