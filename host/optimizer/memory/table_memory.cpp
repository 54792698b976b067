#include "host/optimizer/memory/table_memory.hpp"

#include <algorithm>
#include <cstring>

namespace onepass {
namespace {

/// Every section starts at a multiple of this, so that it can be patched in words and read in vectors.
constexpr std::size_t kAlignment = 64;

/// Collects sections one after the other, and returns the offset of each.
class Layout {
 public:
  /// Appends a copy of the bytes. Returns their offset.
  std::size_t add(std::span<const std::byte> bytes) {
    const std::size_t offset = reserve(bytes.size());
    if (!bytes.empty()) std::memcpy(bytes_.data() + offset, bytes.data(), bytes.size());
    return offset;
  }
  template <class T>
  std::size_t add(const std::vector<T>& values) {
    return add(std::as_bytes(std::span(values)));
  }
  /// Appends `size` zero bytes. Returns their offset.
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
  const std::size_t tensors = layout.add(contents.rows.tensors);
  const std::size_t axes = layout.add(contents.rows.axes);
  const std::size_t grads = layout.add(contents.rows.grads);
  const std::size_t incoming = layout.add(contents.rows.incoming);
  const std::size_t steps = layout.add(contents.steps);
  const std::size_t accumulated = layout.add(contents.accumulated);
  const std::size_t counters = layout.add(contents.rows.counters);
  const std::size_t rules = layout.add(contents.rules);
  const std::size_t penalties = layout.add(contents.penalties);
  const std::size_t schedules = layout.add(contents.schedules);
  const std::size_t sums =
      layout.add(std::vector<step::TensorSums>(contents.sum_count, step::TensorSums::none()));
  const auto unmeasured = [](std::size_t count) {
    return std::vector<step::Reduction>(count, step::Reduction::none());
  };
  const std::size_t group_gradients = layout.add(unmeasured(contents.group_norms.size()));
  const std::size_t group_rounds = layout.add(unmeasured(contents.group_norms.size()));
  const std::size_t group_norms = layout.add(contents.group_norms);
  const std::size_t tensor_gradients = layout.add(unmeasured(contents.tensor_norms.size()));
  const std::size_t tensor_norms = layout.add(contents.tensor_norms);
  const std::size_t control = layout.add(std::as_bytes(std::span(&contents.control, 1)));
  const std::size_t coefficients = layout.reserve(contents.rows.tensors.size() * contents.coefficient_bytes);
  const std::size_t chunks = layout.add(contents.chunks);
  const std::size_t pieces = layout.add(contents.pieces);
  const std::size_t axis_tiles = layout.add(contents.axis_work.tiles);
  const std::size_t axis_lines = layout.add(contents.axis_work.lines);
  const std::size_t axis_matrices = layout.add(contents.axis_work.matrices);

  memory_ = DeviceBuffer(device, layout.bytes().size());
  copy({device, memory_.data()}, {Device::cpu(), layout.bytes().data()}, layout.bytes().size());

  std::byte* const base = memory_.as<std::byte>();
  const bool accumulates = !contents.rows.incoming.empty();
  view_ = {
      .tensors = reinterpret_cast<const step::TensorEntry*>(base + tensors),
      .grads = reinterpret_cast<void* const*>(base + grads),
      .incoming = accumulates ? reinterpret_cast<void* const*>(base + incoming) : nullptr,
      .chunks = reinterpret_cast<const step::Chunk*>(base + chunks),
      .pieces = reinterpret_cast<const step::Piece*>(base + pieces),
      .tensor_count = static_cast<std::int64_t>(contents.rows.tensors.size()),
      .chunk_count = static_cast<std::int64_t>(contents.chunks.size()),
      .piece_count = static_cast<std::int64_t>(contents.pieces.size()),
      .rules = base + rules,
      .rule_bytes = static_cast<std::int64_t>(contents.rule_bytes),
      .penalties = reinterpret_cast<const step::Penalty*>(base + penalties),
      .schedules = reinterpret_cast<const schedule::View*>(base + schedules),
      .steps = reinterpret_cast<std::int64_t*>(base + steps),
      .counters =
          contents.rows.has_counters() ? reinterpret_cast<const step::Counter*>(base + counters) : nullptr,
      .accumulated = reinterpret_cast<std::int64_t*>(base + accumulated),
      .coefficients = base + coefficients,
      .coefficient_bytes = static_cast<std::int64_t>(contents.coefficient_bytes),
      .group_count = static_cast<std::int64_t>(contents.group_norms.size()),
      .sums = contents.sum_count != 0 ? reinterpret_cast<step::TensorSums*>(base + sums) : nullptr,
      .sum_count = static_cast<std::int64_t>(contents.sum_count),
      .group_gradients = reinterpret_cast<step::Reduction*>(base + group_gradients),
      .group_norms = reinterpret_cast<double*>(base + group_norms),
      .group_rounds = reinterpret_cast<step::Reduction*>(base + group_rounds),
      .tensor_gradients = reinterpret_cast<step::Reduction*>(base + tensor_gradients),
      .tensor_norms = reinterpret_cast<double*>(base + tensor_norms),
      .axes = contents.rows.axes.empty() ? nullptr : reinterpret_cast<const step::AxisEntry*>(base + axes),
      .axis_tiles = reinterpret_cast<const step::AxisTile*>(base + axis_tiles),
      .axis_lines = reinterpret_cast<const step::AxisPart*>(base + axis_lines),
      .axis_matrices = reinterpret_cast<const step::AxisPart*>(base + axis_matrices),
      .axis_tile_count = 0,
      .axis_line_count = 0,
      .axis_matrix_count = 0,
      .control = reinterpret_cast<step::Control*>(base + control),
      .prepares = 0,
      .concludes = 1,
      .chosen = nullptr,
      .chosen_count = 0,
      .sweeps = 0,
      .reserved = 0};
}

bool TableRows::has_counters() const {
  return std::ranges::any_of(counters, [](const step::Counter& one) { return one.at != nullptr; });
}

void TableMemory::write(const TableRows& rows) const {
  const auto write = [&](const auto* to, const auto& from) {
    const auto bytes = std::as_bytes(std::span(from));
    copy({memory_.device(), const_cast<void*>(static_cast<const void*>(to))}, {Device::cpu(), bytes.data()},
         bytes.size());
  };
  write(view_.tensors, rows.tensors);
  write(view_.axes, rows.axes);
  write(view_.grads, rows.grads);
}

std::vector<std::int64_t> TableMemory::read_counts(const std::int64_t* from, Stream stream) const {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(view_.tensor_count));
  copy({Device::cpu(), counts.data()}, {memory_.device(), from}, counts.size() * sizeof(std::int64_t),
       stream);
  return counts;
}

std::vector<double> TableMemory::read_norms(const double* from, std::int64_t count) const {
  std::vector<double> norms(static_cast<std::size_t>(count));
  copy({Device::cpu(), norms.data()}, {memory_.device(), from}, norms.size() * sizeof(double));
  return norms;
}

void TableMemory::write_counts(std::int64_t* to, std::span<const std::int64_t> counts, Stream stream) {
  copy({memory_.device(), to}, {Device::cpu(), counts.data()}, counts.size_bytes(), stream);
}

}  // namespace onepass
