#include "host/table_memory.hpp"

#include <cstring>

namespace onepass {
namespace {

/// Every section starts here, so that it can be patched in words and read in vectors.
constexpr std::size_t kAlignment = 64;

/// Collects sections one after the other, and says where each will lie.
class Layout {
 public:
  /// Appends a copy of the bytes; returns the offset.
  std::size_t add(std::span<const std::byte> bytes) {
    const std::size_t offset = reserve(bytes.size());
    if (!bytes.empty()) std::memcpy(bytes_.data() + offset, bytes.data(), bytes.size());
    return offset;
  }
  template <class T>
  std::size_t add(const std::vector<T>& values) {
    return add(std::as_bytes(std::span(values)));
  }
  std::size_t reserve(std::size_t size) {
    const std::size_t offset = (bytes_.size() + kAlignment - 1) / kAlignment * kAlignment;
    bytes_.resize(offset + size);
    return offset;
  }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

TableMemory::TableMemory(Device device, const TableContents& contents) {
  Layout layout;
  const std::size_t tensors = layout.add(contents.tensors);
  const std::size_t grads = layout.add(contents.grads);
  const std::size_t steps = layout.add(contents.steps);
  const std::size_t skipped = layout.add(std::as_bytes(std::span(&contents.skipped, 1)));
  const std::size_t rules = layout.add(contents.rules);
  const std::size_t coefficients = layout.reserve(contents.tensors.size() * contents.coefficient_bytes);
  const std::size_t chunks = layout.add(contents.chunks);

  memory_ = DeviceBuffer(device, layout.bytes().size());
  copy({device, memory_.data()}, {Device::cpu(), layout.bytes().data()}, layout.bytes().size());

  std::byte* const base = memory_.as<std::byte>();
  view_ = {.tensors = reinterpret_cast<const kernels::TensorEntry*>(base + tensors),
           .grads = reinterpret_cast<void* const*>(base + grads),
           .chunks = reinterpret_cast<const kernels::Chunk*>(base + chunks),
           .tensor_count = static_cast<std::int64_t>(contents.tensors.size()),
           .chunk_count = static_cast<std::int64_t>(contents.chunks.size()),
           .chunk_size = contents.chunk_size,
           .rules = base + rules,
           .steps = reinterpret_cast<std::int64_t*>(base + steps),
           .coefficients = base + coefficients,
           .skipped = reinterpret_cast<std::int64_t*>(base + skipped),
           .found_inf = nullptr};
}

std::vector<std::int64_t> TableMemory::steps(Stream stream) const {
  std::vector<std::int64_t> steps(static_cast<std::size_t>(view_.tensor_count));
  copy({Device::cpu(), steps.data()}, {memory_.device(), view_.steps}, steps.size() * sizeof(std::int64_t),
       stream);
  return steps;
}

std::int64_t TableMemory::step(std::size_t tensor, Stream stream) const {
  std::int64_t step = 0;
  copy({Device::cpu(), &step}, {memory_.device(), view_.steps + tensor}, sizeof step, stream);
  return step;
}

std::int64_t TableMemory::skipped(Stream stream) const {
  std::int64_t skipped = 0;
  copy({Device::cpu(), &skipped}, {memory_.device(), view_.skipped}, sizeof skipped, stream);
  return skipped;
}

void TableMemory::write_steps(std::span<const std::int64_t> steps, std::int64_t skipped, Stream stream) {
  copy({memory_.device(), view_.steps}, {Device::cpu(), steps.data()}, steps.size_bytes(), stream);
  copy({memory_.device(), view_.skipped}, {Device::cpu(), &skipped}, sizeof skipped, stream);
}

}  // namespace onepass
