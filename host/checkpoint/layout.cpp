#include "host/checkpoint/layout.hpp"

namespace onepass::checkpoint {
namespace {

Kind kind_of(DType dtype) {
  return dtype == DType::float32 ? Kind::f32 : dtype == DType::bfloat16 ? Kind::bf16 : Kind::f16;
}

/// The type of a state's elements. Codes with a sign are those of Signed8.
Kind kind_of(States format, bool is_nonnegative) {
  if (format == States::float32) return Kind::f32;
  if (format == States::bfloat16) return Kind::bf16;
  return is_nonnegative ? Kind::u8 : Kind::i8;
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

std::size_t state_size(States format) { return size_of(kind_of(format, false)); }

std::vector<NamedTensor> tensors_of(const PieceRecord& piece, bool has_values) {
  const storage::FormatName& format = piece.format;
  std::vector<NamedTensor> tensors;
  if (has_values) tensors.push_back({piece.name, kind_of(format.param), piece.numel});
  if (format.master != Master::none) {
    tensors.push_back({key_of(piece.name, rest_name(format.master)), kind_of(format.master), piece.numel});
  }
  for (const StateRecord& state : piece.states) {
    tensors.push_back(
        {key_of(piece.name, state.name), kind_of(format.states, state.is_nonnegative), piece.numel});
    if (format.states == States::quantized8) {
      tensors.push_back({scales_key(piece.name, state.name), Kind::bf16, piece.shard().scales()});
    }
  }
  if (piece.ema) tensors.push_back({key_of(piece.name, kEma), kind_of(*piece.ema), piece.numel});
  if (piece.accumulated != 0) {
    tensors.push_back({key_of(piece.name, kGradientSum), Kind::f32, piece.numel});
  }
  return tensors;
}

}  // namespace onepass::checkpoint
