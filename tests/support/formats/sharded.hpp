// sharded.hpp - one tensor of any format, cut into shards by elements or by columns, and what all of them
// together hold of each element.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/numbers/values.hpp"
#include "support/rules.hpp"

namespace onepass::test {

/// The place of a shard in the logical tensor, as in Parameter.
struct ShardPlace {
  std::int64_t numel, first, run = 0, pitch = 0;

  /// The element of the logical tensor that an element of the shard is.
  [[nodiscard]] std::int64_t logical(std::int64_t i) const {
    return run == 0 ? first + i : first + i / run * pitch + i % run;
  }
  /// The run that an element of the shard lies in. Runs without gaps between them are one.
  [[nodiscard]] std::int64_t run_of(std::int64_t i) const { return run == pitch ? 0 : i / run; }
};
using Places = std::vector<ShardPlace>;

/// Returns `count` + 1 borders from 0 to `size` at random, multiples of `multiple` where there is room.
/// Neighbours may be equal: then a shard has no elements.
inline std::vector<std::int64_t> random_borders(std::int64_t size, int count, std::int64_t multiple,
                                                std::uint64_t seed) {
  std::vector<std::int64_t> borders{0, size};
  for (int i = 1; i < count; ++i) {
    const auto drawn = mix(seed * 977 + static_cast<std::uint64_t>(i)) % static_cast<std::uint64_t>(size + 1);
    borders.push_back(static_cast<std::int64_t>(drawn) / multiple * multiple);
  }
  std::ranges::sort(borders);
  return borders;
}

/// Cuts a tensor between any of its elements.
inline Places cut_by_elements(std::int64_t numel, int count, std::int64_t multiple, std::uint64_t seed) {
  Places places;
  const std::vector<std::int64_t> borders = random_borders(numel, count, multiple, seed);
  for (std::size_t i = 0; i + 1 < borders.size(); ++i) {
    places.push_back({borders[i + 1] - borders[i], borders[i]});
  }
  return places;
}

/// Cuts a matrix of `rows` rows between any of its columns.
inline Places cut_by_columns(std::int64_t rows, std::int64_t columns, int count, std::int64_t multiple,
                             std::uint64_t seed) {
  Places places;
  const std::vector<std::int64_t> borders = random_borders(columns, count, multiple, seed);
  for (std::size_t i = 0; i + 1 < borders.size(); ++i) {
    const std::int64_t width = borders[i + 1] - borders[i];
    places.push_back({rows * width, borders[i], width, width == 0 ? 0 : columns});
  }
  return places;
}

/// The elements of a shard, out of those of the tensor.
inline std::vector<float> part_of(const std::vector<float>& whole, const ShardPlace& place) {
  std::vector<float> part(static_cast<std::size_t>(place.numel));
  for (std::size_t i = 0; i < part.size(); ++i) {
    part[i] = whole[static_cast<std::size_t>(place.logical(static_cast<std::int64_t>(i)))];
  }
  return part;
}

/// Shards of one tensor, each with an optimizer of its own, as on as many ranks.
class Sharded {
 public:
  /// `gives_memory`: the caller has the memory of all that the optimizers keep.
  Sharded(const RuleCase& rule, const FormatCase& format, Device device, const Places& places,
          Options options, bool gives_memory = false)
      : places_(places), numel_(0), accumulates_(options.accumulates_gradients) {
    options.storage = format.low(), options.float32_storage = format.wide();
    for (const ShardPlace& place : places_) numel_ += place.numel;
    std::vector<float> values(static_cast<std::size_t>(numel_));
    draw_value(values, 1);
    for (std::size_t s = 0; s < places_.size(); ++s) {
      const ShardPlace& place = places_[s];
      const int misaligned = static_cast<int>(s % 3);
      values_.emplace_back(device, format.param, place.numel, misaligned);
      grads_.emplace_back(device, format.grad, place.numel, static_cast<int>(s / 2 % 3));
      copies_.emplace_back(device, DType::bfloat16, place.numel, misaligned);
      values_.back().write(part_of(values, place));
      const Tensor copy = format.param == DType::float32 ? copies_.back().tensor() : Tensor{};
      parameters_.push_back({.name = "w",
                             .value = values_.back().tensor(),
                             .grad = grads_.back().tensor(),
                             .first = place.first,
                             .run = place.run,
                             .pitch = place.pitch,
                             .copy = copy});
      if (gives_memory) give(rule, device, options);
      optimizers_.push_back(std::make_unique<Optimizer>(rule.make({parameters_.back()}, options)));
    }
  }

  /// Takes a step with the gradients that the tensor has at it.
  void step(std::int64_t step, std::int64_t steps = 30) {
    std::vector<float> gradients(static_cast<std::size_t>(numel_));
    draw_gradient(gradients, 1, step, steps);
    for (std::size_t s = 0; s < places_.size(); ++s) {
      grads_[s].write(part_of(gradients, places_[s]));
      if (accumulates_) optimizers_[s]->accumulate();
    }
    const std::int64_t sums = optimizers_.front()->sums_numel();
    if (sums != 0) return step_with_sums(sums);
    for (const auto& optimizer : optimizers_) optimizer->step();
  }

  /// Returns all bytes that the shards hold of each element of the tensor: of its value, of its copy, and of
  /// each stream, and of the scale that it has in each state of 8 bits.
  [[nodiscard]] std::vector<std::string> elements() const {
    std::vector<std::string> all(static_cast<std::size_t>(numel_));
    for (std::size_t s = 0; s < places_.size(); ++s) {
      const StateDict dict = optimizers_[s]->state_dict();
      const auto append = [&](DType dtype, const std::vector<std::byte>& bytes) {
        add(all, places_[s], dtype, bytes);
      };
      append(parameters_[s].value.dtype, values_[s].bytes());
      if (parameters_[s].copy.data != nullptr) append(DType::bfloat16, copies_[s].bytes());
      for (const SavedState& state : dict.parameters[0].states) {
        if (state.dtype == DType::float64) continue;  // A scalar is the tensor's and no element's.
        append(state.dtype, state.bytes);
        if (state.dtype == DType::uint8 && state.name != "remainder") add_scales(all, places_[s], state);
      }
    }
    return all;
  }
  /// The values of all shards, in the order of the tensor.
  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> all(static_cast<std::size_t>(numel_));
    for (std::size_t s = 0; s < places_.size(); ++s) {
      const std::vector<float> part = values_[s].floats();
      for (std::int64_t i = 0; i < places_[s].numel; ++i) {
        all[static_cast<std::size_t>(places_[s].logical(i))] = part[static_cast<std::size_t>(i)];
      }
    }
    return all;
  }
  /// The numbers of a state of 8 bits, in the order of the tensor.
  [[nodiscard]] std::vector<float> state(std::size_t state) const {
    std::vector<float> all(static_cast<std::size_t>(numel_));
    for (std::size_t s = 0; s < places_.size(); ++s) {
      const StateDict dict = optimizers_[s]->state_dict();
      const SavedState& saved = dict.parameters[0].states[state];
      std::vector<std::string> scales(all.size());
      add_scales(scales, places_[s], saved);
      for (std::int64_t i = 0; i < places_[s].numel; ++i) {
        const auto at = static_cast<std::size_t>(places_[s].logical(i));
        std::uint16_t stored;
        std::memcpy(&stored, scales[at].data(), sizeof stored);
        const float scale = storage::BFloat16::decode(stored);
        all[at] = is_nonnegative(saved.name)
                      ? storage::Nonnegative8::decode(codes_of<std::uint8_t>(saved)[i], scale)
                      : storage::Signed8::decode(codes_of<std::int8_t>(saved)[i], scale);
      }
    }
    return all;
  }
  [[nodiscard]] bool intact() const {
    const auto all_intact = [](const auto& buffers) {
      return std::ranges::all_of(buffers, &FormatBuffer::intact);
    };
    return all_intact(values_) && all_intact(grads_) && all_intact(copies_);
  }
  [[nodiscard]] Optimizer& optimizer(std::size_t shard) { return *optimizers_[shard]; }
  [[nodiscard]] std::size_t size() const { return places_.size(); }
  [[nodiscard]] const Places& places() const { return places_; }

 private:
  /// Steps by the sums of all shards, of `numel` integers each.
  void step_with_sums(std::int64_t numel) {
    const Device device = values_.front().tensor().device;
    const std::size_t bytes = static_cast<std::size_t>(numel) * sizeof(std::int64_t);
    const DeviceBuffer given(device, bytes);
    const Tensor words{given.data(), DType::int64, numel, device};
    std::vector<std::int64_t> all(static_cast<std::size_t>(numel), 0), own(all);
    for (const auto& optimizer : optimizers_) {
      optimizer->begin_step(words);
      copy({Device::cpu(), own.data()}, {device, given.data()}, bytes);
      for (std::size_t i = 0; i < all.size(); ++i) all[i] += own[i];
    }
    copy({device, given.data()}, {Device::cpu(), all.data()}, bytes);
    for (const auto& optimizer : optimizers_) optimizer->finish_step(words);
  }
  /// Gives the last parameter just the memory that it requires.
  void give(const RuleCase& rule, Device device, const Options& options) {
    const auto required = Optimizer::required_memory(rule.rule, std::vector{parameters_.back()}, options);
    for (const RequiredStream& stream : required[0].streams) {
      given_.emplace_back(device, stream.bytes);
      parameters_.back().streams.push_back(
          {stream.name, {given_.back().data(), stream.dtype, stream.numel, device}});
    }
  }
  static void add(std::vector<std::string>& all, const ShardPlace& place, DType dtype,
                  const std::vector<std::byte>& bytes) {
    const std::size_t size = size_of(dtype);
    for (std::int64_t i = 0; i < place.numel; ++i) {
      std::string one(reinterpret_cast<const char*>(bytes.data()) + static_cast<std::size_t>(i) * size, size);
      if (dtype == DType::float32 && std::isnan(decoded(dtype, bytes.data(), static_cast<std::size_t>(i)))) {
        one = "NaN";
      }
      all[static_cast<std::size_t>(place.logical(i))] += one;
    }
  }
  /// The scales lie behind the codes, one for each run's part of each block.
  static void add_scales(std::vector<std::string>& all, const ShardPlace& place, const SavedState& state) {
    const auto* const scales =
        reinterpret_cast<const char*>(state.bytes.data()) + (place.numel + 63) / 64 * 64;
    std::set<std::pair<std::int64_t, std::int64_t>> parts;
    for (std::int64_t i = 0; i < place.numel; ++i) {
      parts.emplace(place.run_of(i), place.logical(i) / kBlock);
      all[static_cast<std::size_t>(place.logical(i))] += std::string(scales + 2 * (parts.size() - 1), 2);
    }
    EXPECT_EQ(state.bytes.size(), static_cast<std::size_t>((place.numel + 63) / 64 * 64) + 2 * parts.size());
  }

  Places places_;
  std::int64_t numel_;
  bool accumulates_;
  std::vector<DeviceBuffer> given_;
  std::vector<FormatBuffer> values_, grads_, copies_;
  std::vector<Parameter> parameters_;
  std::vector<std::unique_ptr<Optimizer>> optimizers_;
};

/// Returns which elements of a tensor of `numel` elements lie in a block that is divided among shards or
/// runs.
inline std::vector<bool> divided_elements(const Places& places, std::int64_t numel) {
  std::map<std::int64_t, std::set<std::pair<std::size_t, std::int64_t>>> parts;
  for (std::size_t s = 0; s < places.size(); ++s) {
    for (std::int64_t i = 0; i < places[s].numel; ++i) {
      parts[places[s].logical(i) / kBlock].emplace(s, places[s].run_of(i));
    }
  }
  std::vector<bool> divided(static_cast<std::size_t>(numel));
  for (std::int64_t i = 0; i < numel; ++i)
    divided[static_cast<std::size_t>(i)] = parts[i / kBlock].size() > 1;
  return divided;
}

/// Expects shards to hold the bytes of the whole tensor; with states of 8 bits, of those elements whose block
/// is not divided.
inline testing::AssertionResult equal_elements(const Sharded& whole, const Sharded& shards,
                                               const FormatCase& format) {
  const std::vector<std::string> expected = whole.elements(), actual = shards.elements();
  const std::vector<bool> divided = divided_elements(shards.places(), std::ssize(expected));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == actual[i] || (format.storage.states == States::quantized8 && divided[i])) continue;
    return testing::AssertionFailure() << "element " << i << " differs";
  }
  if (!whole.intact() || !shards.intact()) return testing::AssertionFailure() << "memory around tensors";
  return testing::AssertionSuccess();
}

}  // namespace onepass::test
