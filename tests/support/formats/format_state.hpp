// format_state.hpp - decodes the states and masters that a StateDict holds of parameters in any format.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "support/formats/format_model.hpp"

namespace onepass::test {

using storage::kBlock;

inline bool is_nonnegative(const std::string& state) {
  return state.find("sq") != std::string::npos || state == "acc_delta" || state == "exp_inf" ||
         state == "exp_avg_var" || state == "hessian" || state == "variance";
}

template <class Code>
const Code* codes_of(const SavedState& state) {
  return reinterpret_cast<const Code*>(state.bytes.data());
}

/// The scale of element `i` of a quantised state. The codes come first; the scales start at the next multiple
/// of 64 bytes.
inline float scale_of(const SavedState& state, std::size_t numel, std::size_t i) {
  std::uint16_t scale;
  std::memcpy(&scale, state.bytes.data() + (numel + 63) / 64 * 64 + i / kBlock * sizeof scale, sizeof scale);
  return storage::BFloat16::decode(scale);
}

inline std::vector<float> decoded_state(const SavedState& state, std::size_t numel) {
  std::vector<float> values(numel);
  for (std::size_t i = 0; i < numel; ++i) {
    if (state.dtype != DType::uint8) {
      values[i] = decoded(state.dtype, state.bytes.data(), i);
    } else if (is_nonnegative(state.name)) {
      values[i] = storage::Nonnegative8::decode(codes_of<std::uint8_t>(state)[i], scale_of(state, numel, i));
    } else {
      values[i] = storage::Signed8::decode(codes_of<std::int8_t>(state)[i], scale_of(state, numel, i));
    }
  }
  return values;
}

inline const SavedState& state_of(const SavedParameter& saved, std::string_view name) {
  return *std::ranges::find(saved.states, name, &SavedState::name);
}

/// The state "master" or "remainder", whichever the format has.
inline const SavedState& rest_of(const FormatCase& format, const SavedParameter& saved) {
  return state_of(saved, format.storage.master == Master::float32 ? "master" : "remainder");
}

/// The float32 parameter that a step updates, decoded from the elements and, if the format has one, the
/// master or remainder.
inline std::vector<float> decoded_param(const FormatCase& format, const FormatBuffer& value,
                                        const SavedParameter& saved) {
  std::vector<float> param = value.floats();
  const std::vector<std::byte> elements = value.bytes();
  if (format.param == DType::float32 || format.storage.master == Master::none) return param;
  const std::vector<std::byte>& rest = rest_of(format, saved).bytes;
  for (std::size_t i = 0; i < param.size(); ++i) {
    std::uint16_t element;
    std::memcpy(&element, elements.data() + 2 * i, 2);
    if (format.storage.master == Master::float32) {
      param[i] = decoded(DType::float32, rest.data(), i);
    } else if (format.storage.master == Master::split) {
      std::uint16_t remainder;
      std::memcpy(&remainder, rest.data() + 2 * i, 2);
      param[i] = storage::SplitBFloat16::decode(element, remainder);
    } else {
      const auto remainder = static_cast<std::uint8_t>(rest[i]);
      param[i] = format.param == DType::bfloat16 ? storage::BFloat16Remainder8::decode(element, remainder)
                                                 : storage::Float16Remainder8::decode(element, remainder);
    }
  }
  return param;
}

/// All streams of a parameter as bytes. The bits of a float32 NaN are unspecified, so every NaN is replaced
/// by the same one.
inline std::vector<std::byte> all_bytes(const FormatBuffer& value, const SavedParameter& saved) {
  std::vector<std::byte> all;
  const auto append = [&](DType dtype, std::vector<std::byte> bytes) {
    for (std::size_t i = 0; dtype == DType::float32 && i < bytes.size() / sizeof(float); ++i) {
      if (std::isnan(decoded(dtype, bytes.data(), i))) encode(dtype, std::nanf(""), bytes.data(), i);
    }
    all.insert(all.end(), bytes.begin(), bytes.end());
  };
  append(value.tensor().dtype, value.bytes());
  for (const SavedState& state : saved.states) append(state.dtype, state.bytes);
  return all;
}

/// All streams of all parameters as bytes.
inline std::vector<std::byte> all_bytes(const FormatModel& model, const StateDict& dict) {
  std::vector<std::byte> all;
  for (std::size_t i = 0; i < model.size(); ++i) {
    const std::vector<std::byte> bytes = all_bytes(model.value(i), dict.parameters[i]);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

/// The FNV-1a hash of a parameter's name, which selects its random bits.
inline std::uint32_t number_of(const std::string& name) {
  std::uint32_t hash = 2166136261u;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619u;
  return hash;
}

}  // namespace onepass::test
