// table_memory.hpp - the tables of a model, in one block of the device's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "onepass/device.hpp"
#include "step/table.hpp"

namespace onepass {

/// What a table starts with.
struct TableContents {
  std::vector<step::TensorEntry> tensors;
  std::vector<void*> grads;
  std::vector<void*> incoming;            ///< Empty where gradients are not accumulated.
  std::vector<std::int64_t> steps;        ///< One a tensor.
  std::vector<std::int64_t> accumulated;  ///< One a tensor.
  std::vector<step::Chunk> chunks;
  std::vector<step::Chunk> pieces;
  std::vector<step::Penalty> penalties;
  std::vector<schedule::View> schedules;
  std::int64_t chunk_size = 0;
  std::span<const std::byte> rules;
  std::size_t coefficient_bytes = 0;  ///< Of one tensor; written by every step.
  step::Control control{};
};

class TableMemory {
 public:
  TableMemory() = default;
  /// Allocates, writes, and waits until it is there.
  TableMemory(Device device, const TableContents& contents);

  /// Pointers into the block.
  [[nodiscard]] const step::Table& view() const { return view_; }

  /// Each waits for the stream.
  template <class T>
  [[nodiscard]] T read(const T* from, Stream stream) const {
    T value;
    copy({Device::cpu(), &value}, {memory_.device(), from}, sizeof value, stream);
    return value;
  }
  [[nodiscard]] std::vector<std::int64_t> read_counts(const std::int64_t* from, Stream stream) const;
  void write_counts(std::int64_t* to, std::span<const std::int64_t> counts, Stream stream);

 private:
  DeviceBuffer memory_;
  step::Table view_{};
};

}  // namespace onepass
