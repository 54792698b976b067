// reference.cpp - decodes a window, steps it by hand and encodes it again.
#include "bench/check/reference.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bench/data/model.hpp"
#include "onepass/random/philox.hpp"
#include "onepass/storage/formats.hpp"

namespace onepass::bench {
namespace {

using storage::kBlock;

const PlainStep& by_hand(const ReferenceStep& step) { return *step.rule.by_hand; }

template <class T>
T get(const std::vector<std::byte>& bytes, std::size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
  return value;
}
template <class T>
void put(std::vector<std::byte>& bytes, std::size_t i, T value) {
  std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
}

float decoded(DType dtype, const std::vector<std::byte>& bytes, std::size_t i) {
  if (dtype == DType::float32) return get<float>(bytes, i);
  const auto element = get<std::uint16_t>(bytes, i);
  return dtype == DType::bfloat16 ? storage::BFloat16::decode(element) : storage::Float16::decode(element);
}
void encode(DType dtype, std::vector<std::byte>& bytes, std::size_t i, float value) {
  if (dtype == DType::float32) return put(bytes, i, value);
  put(bytes, i,
      dtype == DType::bfloat16 ? storage::BFloat16::encode(value) : storage::Float16::encode(value));
}

float decoded_param(const FormatChoice& format, const Bytes& bytes, std::size_t i) {
  switch (format.storage.master) {
    case Master::float32:
      return get<float>(bytes.remainder, i);
    case Master::split:
      return storage::SplitBFloat16::decode(get<std::uint16_t>(bytes.param, i),
                                            get<std::uint16_t>(bytes.remainder, i));
    case Master::remainder8:
      return storage::BFloat16Remainder8::decode(get<std::uint16_t>(bytes.param, i),
                                                 get<std::uint8_t>(bytes.remainder, i));
    default:
      return decoded(format.param, bytes.param, i);
  }
}

template <class Codec>
void encode_split(Bytes& bytes, std::size_t i, float value, auto... random) {
  typename Codec::Element element;
  typename Codec::Remainder remainder;
  if constexpr (sizeof...(random) == 0) {
    Codec::encode(value, element, remainder);
  } else {
    Codec::encode_stochastic(value, element, remainder, random...);
  }
  put(bytes.param, i, element);
  put(bytes.remainder, i, remainder);
}

/// Returns the FNV-1a hash of a tensor's name, which is part of the counter of its random bits.
std::uint32_t number_of(const std::string& name) {
  std::uint32_t hash = 2166136261u;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619u;
  return hash;
}

random::Words words_of(const ReferenceStep& step, const Part& window, random::Purpose purpose,
                       std::uint64_t draw) {
  return random::philox(step.seed, random::Counter{draw, purpose, static_cast<std::uint32_t>(step.t - 1),
                                                   number_of(tensor_name(window.tensor))});
}

/// Returns the number of halves of random words that a block uses: one for each state that is not float32,
/// then one for the parameter unless it is exact or has an exact master. More than two streams use four.
std::size_t block_halves(const ReferenceStep& step) {
  const Storage& how = step.format.storage;
  const std::size_t states =
      how.states == States::float32 ? 0 : static_cast<std::size_t>(by_hand(step).states);
  const bool exact = step.format.param == DType::float32;
  const bool rounds = !exact && (how.master == Master::none || how.master == Master::remainder8);
  const std::size_t streams = states + (rounds ? 1 : 0);
  return streams <= 2 ? streams : 4;
}

/// Returns the half for the element's block and a stream. Streams are numbered by state; the last is the
/// parameter.
std::uint16_t half_of(const ReferenceStep& step, const Part& window, std::size_t i, std::size_t stream) {
  const std::uint64_t block = (static_cast<std::uint64_t>(window.begin) + i) / kBlock;
  const std::size_t half = block * block_halves(step) + stream, word = half / 2;
  const std::uint32_t both = words_of(step, window, random::Purpose::rounding, word / 4).word[word % 4];
  return static_cast<std::uint16_t>(half % 2 == 0 ? both : both >> 16);
}

/// Returns the 16 random bits that round an element.
std::uint32_t random_bits(const ReferenceStep& step, const Part& window, std::size_t i, std::size_t stream) {
  const std::uint64_t element = (static_cast<std::uint64_t>(window.begin) + i) % kBlock;
  return (half_of(step, window, i, stream) + static_cast<std::uint32_t>(element) * 0x9E37u) & 0xffffu;
}

void encode_param(const ReferenceStep& step, const Part& window, Bytes& bytes, std::size_t i, float value) {
  const Storage& how = step.format.storage;
  if (how.master == Master::split) return encode_split<storage::SplitBFloat16>(bytes, i, value);
  if (how.master == Master::remainder8) {
    return encode_split<storage::BFloat16Remainder8>(bytes, i, value,
                                                     random_bits(step, window, i, block_halves(step) - 1));
  }
  if (how.master == Master::float32) put(bytes.remainder, i, value);
  if (how.rounding == Rounding::stochastic) {
    put(bytes.param, i,
        storage::BFloat16::encode_stochastic(value, random_bits(step, window, i, block_halves(step) - 1)));
  } else {
    encode(step.format.param, bytes.param, i, value);
  }
}

/// The values of one state in a window, in float32.
using Floats = std::vector<float>;

template <class Codec>
Floats dequantised(const Bytes& bytes, std::size_t state) {
  Floats values(bytes.states[state].size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto scale = get<std::uint16_t>(bytes.scales[state], i / kBlock);
    values[i] =
        Codec::decode(get<typename Codec::Code>(bytes.states[state], i), storage::BFloat16::decode(scale));
  }
  return values;
}

template <class Codec>
void quantise(const ReferenceStep& step, const Part& window, const Floats& values, Bytes& bytes,
              std::size_t state) {
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const std::size_t end = std::min(values.size(), begin + kBlock);
    float largest = 0.0f;
    for (std::size_t i = begin; i < end; ++i) largest = std::max(largest, std::fabs(Codec::stage(values[i])));
    const std::uint16_t scale = Codec::scale(storage::magnitude_of(largest));
    put(bytes.scales[state], begin / kBlock, scale);
    for (std::size_t i = begin; i < end; ++i) {
      put(bytes.states[state], i,
          Codec::encode(Codec::stage(values[i]), storage::BFloat16::decode(scale),
                        random_bits(step, window, i, state) >> (16 - storage::kNoiseBits)));
    }
  }
}

bool is_nonnegative(const ReferenceStep& step, std::size_t state) {
  return (by_hand(step).nonnegative >> state & 1u) != 0;
}

Floats decoded_state(const ReferenceStep& step, const Bytes& bytes, std::size_t state, std::size_t count) {
  if (step.format.storage.states == States::quantized8) {
    return is_nonnegative(step, state) ? dequantised<storage::Nonnegative8>(bytes, state)
                                       : dequantised<storage::Signed8>(bytes, state);
  }
  const DType dtype = step.format.storage.states == States::bfloat16 ? DType::bfloat16 : DType::float32;
  Floats values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = decoded(dtype, bytes.states[state], i);
  return values;
}

void encode_state(const ReferenceStep& step, const Part& window, const Floats& values, Bytes& bytes,
                  std::size_t state) {
  const Storage& how = step.format.storage;
  if (how.states == States::quantized8) {
    return is_nonnegative(step, state) ? quantise<storage::Nonnegative8>(step, window, values, bytes, state)
                                       : quantise<storage::Signed8>(step, window, values, bytes, state);
  }
  const DType dtype = how.states == States::bfloat16 ? DType::bfloat16 : DType::float32;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::float32 || how.rounding == Rounding::nearest) {
      encode(dtype, bytes.states[state], i, values[i]);
      continue;
    }
    put(bytes.states[state], i,
        storage::BFloat16::encode_stochastic(values[i], random_bits(step, window, i, state)));
  }
}

/// Returns true if the first state is stored as the variance, that is less the square of the second state.
/// Formats with states of less than 32 bits do so.
bool keeps_variance(const ReferenceStep& step) {
  return by_hand(step).keeps_variance && step.format.storage.states != States::float32;
}

/// Returns the difference of two numbers in units of 2^-20 `terms`.
double units(float expected, float actual, double terms) {
  const double off = std::fabs(static_cast<double>(expected) - static_cast<double>(actual));
  if (off == 0.0) return 0.0;
  return std::isfinite(off) && terms > 0.0 ? off / (0x1p-20 * terms) : HUGE_VAL;
}

}  // namespace

Bytes moved_by_hand(const ReferenceStep& step, const Part& window, const Bytes& before) {
  const plain::Numbers k = by_hand(step).numbers(step.t);
  const auto count = static_cast<std::size_t>(window.end - window.begin);
  const auto states = static_cast<std::size_t>(by_hand(step).states);
  std::array<Floats, TensorStreams::kMaxStates> values;
  for (std::size_t s = 0; s < states; ++s) values[s] = decoded_state(step, before, s, count);
  Bytes after = before;
  for (std::size_t i = 0; i < count; ++i) {
    float p = decoded_param(step.format, before, i);
    float element[plain::kMaxStates] = {};
    for (std::size_t s = 0; s < states; ++s) element[s] = values[s][i];
    if (keeps_variance(step)) element[0] = std::fma(element[1], element[1], element[0]);
    by_hand(step).move(k, p, decoded(step.format.grad, before.grad, i), element);
    if (keeps_variance(step)) element[0] = std::max(std::fma(-element[1], element[1], element[0]), 0.0f);
    for (std::size_t s = 0; s < states; ++s) values[s][i] = element[s];
    encode_param(step, window, after, i, p);
  }
  for (std::size_t s = 0; s < states; ++s) encode_state(step, window, values[s], after, s);
  return after;
}

double deviation(const ReferenceStep& step, const Part& window, const Bytes& before, const Bytes& expected,
                 const Bytes& actual) {
  const plain::Numbers k = by_hand(step).numbers(step.t);
  const auto count = static_cast<std::size_t>(window.end - window.begin);
  const auto states = static_cast<std::size_t>(by_hand(step).states);
  double worst = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    const float p = std::fabs(get<float>(before.param, i));
    float moved = p, terms[plain::kMaxStates] = {};
    for (std::size_t s = 0; s < states; ++s) terms[s] = std::fabs(get<float>(before.states[s], i));
    by_hand(step).move(k, moved, std::fabs(get<float>(before.grad, i)), terms);
    const double largest = static_cast<double>(p) + std::fabs(static_cast<double>(moved) - p);
    worst = std::max(worst, units(get<float>(expected.param, i), get<float>(actual.param, i), largest));
    for (std::size_t s = 0; s < states; ++s) {
      const double off = units(get<float>(expected.states[s], i), get<float>(actual.states[s], i), terms[s]);
      worst = std::max(worst, off);
    }
  }
  return worst;
}

}  // namespace onepass::bench
