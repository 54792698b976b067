// formats.hpp - the storage formats that every rule can be stepped in, and the codecs of their streams.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float16.hpp"
#include "onepass/storage/float32.hpp"
#include "onepass/storage/master_float32.hpp"
#include "onepass/storage/quantized8.hpp"
#include "onepass/storage/remainder8.hpp"
#include "onepass/storage/split_bfloat16.hpp"
#include "onepass/storage/storage.hpp"

namespace onepass::storage {

/// The remainder of a format that has none.
struct NoRemainder {};

/// Adapts a codec for a parameter that is its own master to the interface of codecs with two streams; the
/// second stream is empty.
template <class Codec>
struct Alone {
  using Element = typename Codec::Element;
  using Remainder = NoRemainder;
  static constexpr DType kDType = Codec::kDType;

  static ONEPASS_LANE float decode(Element element, Remainder /*remainder*/) {
    return Codec::decode(element);
  }
  static ONEPASS_LANE void encode(float x, Element& element, Remainder& /*remainder*/) {
    element = Codec::encode(x);
  }
  static ONEPASS_LANE void encode_stochastic(float x, Element& element, Remainder& /*remainder*/,
                                             std::uint32_t random) {
    element = Codec::encode_stochastic(x, random);
  }
};

/// True if a parameter, with its remainder if it has one, holds every float32.
template <class Param>
inline constexpr bool kHoldsFloat32 =
    Param::kDType == DType::float32 || std::is_same_v<typename Param::Remainder, float> ||
    std::is_same_v<typename Param::Remainder, std::uint16_t>;

/// Type of the remainder stream for a kind of master.
template <Master kMaster>
using RemainderOf = std::tuple_element_t<static_cast<std::size_t>(kMaster),
                                         std::tuple<NoRemainder, float, std::uint16_t, std::uint8_t>>;
/// Codec of the states for a kind of states.
template <States kStates>
using StateCodecOf =
    std::tuple_element_t<static_cast<std::size_t>(kStates), std::tuple<Float32, BFloat16, Quantized8>>;

/// How a kind of states lies in memory.
struct StateLayout {
  DType element;    ///< Type of a number, or of a code.
  bool has_scales;  ///< Each block has a scale, in a stream of its own.
  DType scale;      ///< Type of a scale, if there are any.
};

namespace detail {
template <class StateCodec>
constexpr StateLayout state_layout() {
  if constexpr (requires { typename StateCodec::Scale; }) {
    return {StateCodec::kDType, true, StateCodec::Scale::kDType};
  } else {
    return {StateCodec::kDType, false, {}};
  }
}
}  // namespace detail

/// Returns the layout of a kind of states, which its codec says.
constexpr StateLayout layout_of(States states) {
  constexpr std::array kAll{detail::state_layout<StateCodecOf<States::float32>>(),
                            detail::state_layout<StateCodecOf<States::bfloat16>>(),
                            detail::state_layout<StateCodecOf<States::quantized8>>()};
  return kAll[static_cast<std::size_t>(states)];
}

/// The name of a format, by which it is selected at run time.
struct FormatName {
  DType param;
  Master master;
  States states;

  bool operator==(const FormatName&) const = default;
};

/// A format: the codecs of a tensor's parameter, gradient and states. In every format gradients have the
/// parameter's own dtype or float32.
template <class ParamCodec, class GradCodec, class StateCodec, Master kMaster, States kStates>
struct Format {
  using Param = ParamCodec;
  using LowGrad = GradCodec;  ///< Codec of gradients that have the parameter's dtype.
  using State = StateCodec;
  static constexpr FormatName kName{ParamCodec::kDType, kMaster, kStates};
  // The host lays out memory by the name, and the loops access it by the codecs. These checks ensure that the
  // two agree.
  static_assert(GradCodec::kDType == ParamCodec::kDType);
  static_assert(std::is_same_v<typename ParamCodec::Remainder, RemainderOf<kMaster>>);
  static_assert(std::is_same_v<StateCodec, StateCodecOf<kStates>>);
  static_assert(ParamCodec::kDType != DType::float32 || kMaster == Master::none,
                "float32 parameters are their own master");
  static constexpr bool kHasRemainder = !std::is_same_v<typename Param::Remainder, NoRemainder>;
  static constexpr bool kQuantized = std::is_same_v<State, Quantized8>;
  static constexpr bool kHasLossyStates = !std::is_same_v<State, Float32>;
  static constexpr bool kIsFloat32 = Param::kDType == DType::float32;  ///< The parameter has 4 bytes.
  /// True if every number has 4 bytes.
  static constexpr bool kAllFloat32 = kIsFloat32 && !kHasLossyStates;
  /// True if parameters are rounded with random bits where Rounding asks for it, and if states are.
  static constexpr bool kRoundsParam = !kHasRemainder && !kIsFloat32;
  static constexpr bool kRoundsStates = kStates == States::bfloat16;
  static constexpr bool kRoundsStochastically = kRoundsParam || kRoundsStates;
  /// True if parameters with their remainders are always rounded with random bits.
  static constexpr bool kDithersRemainder = kMaster == Master::remainder8;
  /// True if the parameter may take random bits, and if each of the states may.
  static constexpr bool kDrawsForParam = kRoundsParam || kDithersRemainder;
  static constexpr bool kDrawsForStates = kQuantized || kRoundsStates;
};

/// The formats with a fused CPU loop and a CUDA kernel for each variant of a rule.
using FusedFormats =
    std::tuple<Format<Alone<Float32>, Float32, Float32, Master::none, States::float32>,
               Format<Alone<BFloat16>, BFloat16, Float32, Master::none, States::float32>,
               Format<Alone<BFloat16>, BFloat16, BFloat16, Master::none, States::bfloat16>,
               Format<WithMaster<BFloat16>, BFloat16, Float32, Master::float32, States::float32>,
               Format<SplitBFloat16, BFloat16, Float32, Master::split, States::float32>,
               Format<BFloat16Remainder8, BFloat16, Quantized8, Master::remainder8, States::quantized8>,
               Format<WithMaster<Float16>, Float16, Float32, Master::float32, States::float32>,
               Format<Alone<Float32>, Float32, Quantized8, Master::none, States::quantized8>>;

/// The formats that the CPU steps in stages, and CUDA by one kernel for all of them. A rule
/// pays nothing for a further one. To add a format, add a line here.
using OtherFormats =
    std::tuple<Format<Alone<Float32>, Float32, BFloat16, Master::none, States::bfloat16>,
               Format<Alone<BFloat16>, BFloat16, Quantized8, Master::none, States::quantized8>,
               Format<WithMaster<BFloat16>, BFloat16, BFloat16, Master::float32, States::bfloat16>,
               Format<WithMaster<BFloat16>, BFloat16, Quantized8, Master::float32, States::quantized8>,
               Format<SplitBFloat16, BFloat16, BFloat16, Master::split, States::bfloat16>,
               Format<SplitBFloat16, BFloat16, Quantized8, Master::split, States::quantized8>,
               Format<BFloat16Remainder8, BFloat16, Float32, Master::remainder8, States::float32>,
               Format<BFloat16Remainder8, BFloat16, BFloat16, Master::remainder8, States::bfloat16>,
               Format<Alone<Float16>, Float16, Float32, Master::none, States::float32>,
               Format<Alone<Float16>, Float16, BFloat16, Master::none, States::bfloat16>,
               Format<Alone<Float16>, Float16, Quantized8, Master::none, States::quantized8>,
               Format<WithMaster<Float16>, Float16, BFloat16, Master::float32, States::bfloat16>,
               Format<WithMaster<Float16>, Float16, Quantized8, Master::float32, States::quantized8>,
               Format<Float16Remainder8, Float16, Float32, Master::remainder8, States::float32>,
               Format<Float16Remainder8, Float16, BFloat16, Master::remainder8, States::bfloat16>,
               Format<Float16Remainder8, Float16, Quantized8, Master::remainder8, States::quantized8>>;

/// All formats.
using Formats = decltype(std::tuple_cat(FusedFormats{}, OtherFormats{}));

inline constexpr std::size_t kFusedCount = std::tuple_size_v<FusedFormats>;
inline constexpr std::size_t kFormatCount = std::tuple_size_v<Formats>;

/// The format with this index.
template <std::size_t kFormat>
using FormatAt = std::tuple_element_t<kFormat, Formats>;

namespace detail {
template <std::size_t... kFormat>
constexpr std::array<FormatName, sizeof...(kFormat)> names_of(std::index_sequence<kFormat...>) {
  return {FormatAt<kFormat>::kName...};
}
}  // namespace detail

/// The names of all formats, in their order.
inline constexpr std::array kFormatNames = detail::names_of(std::make_index_sequence<kFormatCount>{});

/// Returns the index of the first format that has the parameter of format kFormat: the one that a variant
/// without states uses in its place, since the two differ in the states alone.
template <std::size_t kFormat, std::size_t kFirst = 0>
constexpr std::size_t stateless_format() {
  using First = typename FormatAt<kFirst>::Param;
  if constexpr (std::is_same_v<First, typename FormatAt<kFormat>::Param>) {
    return kFirst;
  } else {
    return stateless_format<kFormat, kFirst + 1>();
  }
}

/// The index of the format whose loop or kernel a variant with kStates states uses for format kFormat.
template <int kStates, std::size_t kFormat>
inline constexpr std::size_t kFormatFor = kStates == 0 ? stateless_format<kFormat>() : kFormat;

/// True if a variant with kStates states has a fused loop and a kernel of its own for format kFormat. If some
/// of them stay float32 (kFloat32: bit i for state i), it has none where the format narrows the others.
template <int kStates, unsigned kFloat32, std::size_t kFormat>
inline constexpr bool kIsFused = kFormatFor<kStates, kFormat> < kFusedCount &&
                                 (kFloat32 == 0 || !FormatAt<kFormat>::kHasLossyStates);

}  // namespace onepass::storage
