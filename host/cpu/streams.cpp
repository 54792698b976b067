#include "host/cpu/streams.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "onepass/storage/formats.hpp"
#include "step/lookup.hpp"
#include "step/start.hpp"

namespace onepass::cpu {
namespace {

/// Bytes of an element of a remainder that begins as zeros.
std::size_t remainder_size(Master master) {
  return master == Master::split ? sizeof(std::uint16_t) : sizeof(std::uint8_t);
}

/// The bytes of a stream that a chunk has.
struct Bytes {
  std::size_t first;
  std::size_t count;
};

/// Returns them for a stream of elements, or of scales.
Bytes bytes_of(const step::Chunk& chunk, std::size_t element, bool are_scales) {
  const std::int64_t first = are_scales ? chunk.scale : chunk.begin;
  const std::int64_t count = are_scales ? chunk.blocks() : chunk.count;
  return {static_cast<std::size_t>(first) * element, static_cast<std::size_t>(count) * element};
}

void zero_lines(const step::AxisEntry& axes) {
  for (std::size_t i = 0; i < step::kMaxAxes; ++i) {
    if (axes.numbers[i] == nullptr) continue;
    const std::int64_t count = axes.matrices.extent(axes.along[i]);
    std::fill_n(axes.numbers[i], count, 0.0f);
    if (axes.states[i] != nullptr) std::fill_n(axes.states[i], count, 0.0f);
  }
}

}  // namespace

void zero_streams(const step::Table& table, const step::Chunk& chunk) {
  const step::TensorEntry& tensor = table.tensors[chunk.tensor];
  const auto zero = [&](void* stream, std::size_t element, bool are_scales = false) {
    if (stream == nullptr) return;
    const Bytes bytes = bytes_of(chunk, element, are_scales);
    std::memset(static_cast<std::byte*>(stream) + bytes.first, 0, bytes.count);
  };
  for (std::size_t s = 0; s < step::kMaxStates; ++s) {
    const bool stays_float32 = (tensor.float32_states >> s & 1u) != 0;
    const auto layout = storage::layout_of(stays_float32 ? States::float32 : tensor.state_storage);
    zero(tensor.states[s], size_of(layout.element));
    if (layout.has_scales) zero(tensor.scales[s], size_of(layout.scale), true);
  }
  if (!step::has_master(tensor)) zero(tensor.remainder, remainder_size(tensor.master));
  if (table.incoming != nullptr) zero(table.grads[chunk.tensor], sizeof(float));
}

void zero_few(const step::Table& table, std::int64_t first) {
  for (std::int64_t t = first; t < table.tensor_count; ++t) {
    for (double* const scalar : table.tensors[t].scalars) {
      if (scalar != nullptr) *scalar = 0.0;
    }
    if (table.axes != nullptr) zero_lines(table.axes[t]);
  }
}

void load_streams(const step::Chunk& chunk, std::span<const SavedStream> saved) {
  for (const SavedStream& stream : saved) {
    const Bytes bytes = bytes_of(chunk, stream.element, stream.are_scales);
    std::memcpy(stream.to + bytes.first, stream.from.data() + bytes.first, bytes.count);
  }
}

void restore_streams(const step::Table& table, const step::Perturbation& how, const step::Chunk& chunk) {
  const step::TensorEntry& tensor = table.tensors[chunk.tensor];
  const step::KeptTensor& kept = how.kept[chunk.tensor];
  if (kept.is_moved == 0) return;
  const auto put_back = [&](void* stream, const void* from, DType dtype) {
    if (from == nullptr) return;
    const Bytes bytes = bytes_of(chunk, size_of(dtype), false);
    std::memcpy(static_cast<std::byte*>(stream) + bytes.first,
                static_cast<const std::byte*>(from) + bytes.first, bytes.count);
  };
  put_back(tensor.param, kept.param, tensor.param_type);
  put_back(tensor.copy, kept.copy, tensor.copy_type);
}

}  // namespace onepass::cpu
