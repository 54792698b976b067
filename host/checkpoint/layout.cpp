#include "host/checkpoint/layout.hpp"

namespace onepass::checkpoint {
namespace {

Kind kind_of(DType dtype) {
  return dtype == DType::float32 ? Kind::f32 : dtype == DType::bfloat16 ? Kind::bf16 : Kind::f16;
}

/// The type of a state's elements. Codes with a sign are those of Signed8.
Kind kind_of(const StateRecord& state) {
  const storage::StateLayout layout = storage::layout_of(state.format);
  if (!layout.has_scales) return kind_of(layout.element);
  return state.is_nonnegative ? Kind::u8 : Kind::i8;
}

/// Remainders are numbers with a sign.
Kind kind_of(Master master) {
  return master == Master::float32 ? Kind::f32 : master == Master::split ? Kind::i16 : Kind::i8;
}

}  // namespace

std::string key_of(const std::string& parameter, std::string_view stream) {
  return parameter + "/" + std::string(stream);
}

std::string scales_key(const std::string& parameter, std::string_view state) {
  return key_of(parameter, state) + ".scales";
}

std::string_view rest_name(Master master) {
  return master == Master::none ? "" : master == Master::float32 ? "master" : "remainder";
}

std::size_t rest_size(Master master) { return master == Master::none ? 0 : size_of(kind_of(master)); }

std::vector<NamedTensor> tensors_of(const PieceRecord& piece, bool has_values) {
  const storage::FormatName& format = piece.format;
  std::vector<NamedTensor> tensors;
  if (has_values) tensors.push_back({piece.name, kind_of(format.param), piece.numel});
  if (format.master != Master::none) {
    tensors.push_back({key_of(piece.name, rest_name(format.master)), kind_of(format.master), piece.numel});
  }
  for (const StateRecord& state : piece.states) {
    tensors.push_back({key_of(piece.name, state.name), kind_of(state), piece.numel});
    const storage::StateLayout layout = storage::layout_of(state.format);
    if (layout.has_scales) {
      tensors.push_back({scales_key(piece.name, state.name), kind_of(layout.scale), piece.shard().scales()});
    }
  }
  for (const LineRecord& one : piece.lines) {
    tensors.push_back({key_of(piece.name, one.name), Kind::f32, one.numel});
  }
  if (piece.ema) tensors.push_back({key_of(piece.name, kEma), kind_of(*piece.ema), piece.numel});
  if (piece.is_slow) tensors.push_back({key_of(piece.name, kSlow), Kind::f32, piece.numel});
  if (piece.accumulated != 0) {
    tensors.push_back({key_of(piece.name, kGradientSum), Kind::f32, piece.numel});
  }
  return tensors;
}

}  // namespace onepass::checkpoint
