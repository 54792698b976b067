// parameter.hpp - a tensor that the caller registers with an optimizer.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <string>
#include <vector>

#include "onepass/storage/storage.hpp"
#include "onepass/tensor.hpp"

namespace onepass {

/// The contents of given memory when its parameter is registered.
enum class Contents : std::uint8_t {
  first,    ///< Nothing: the optimizer writes what its own memory would begin with.
  present,  ///< Numbers to go on with. The optimizer changes nothing until the first step.
};

/// Memory of the caller's for one stream of numbers that the optimizer keeps for a parameter, in place of its
/// own. Optimizer::required_memory() tells the names, types and sizes. Steps read and write this memory, and
/// the caller may do so between steps, ordered with them on their CUDA stream.
struct GivenStream {
  /// - "exp_avg" or another state of the rule, in the type that the parameter's storage says (States), or in
  ///   float32 if the rule keeps the state so in every format;
  /// - "exp_avg.scales": the scales of a state of 8 bits, in bfloat16: one for each 32 elements, and in a
  ///   shard one for each part of 32 that a run of it has (Parameter::first);
  /// - "master" or "remainder": what its storage keeps beside a 16-bit value (Master);
  /// - "ema": the moving average, if Options::ema is set;
  /// - "slow": the slow weights, if Options::lookahead is set;
  /// - "gradient_sum": the sum of accumulate(), if Options::accumulates_gradients is set; the first of a
  ///   step's micro-batches overwrites it, whatever `contents` says;
  /// - "step": the number of steps that the parameter has taken, one float32 or int64. Every step that the
  ///   parameter takes part in reads it and adds 1, so an edit counts from the next step on. A float32 holds
  ///   counts up to 2^24, an int64 up to 2^53. A step leaves out a parameter whose counter is full, negative,
  ///   fractional or NaN, and Optimizer::check() reports it. Two parameters cannot share a counter.
  std::string name;
  Tensor tensor;  ///< On the device of the value, aligned to its elements.
  Contents contents = Contents::first;
};

/// One tensor to train. The caller owns the memory and must keep it alive as long as the optimizer steps. An
/// optimizer refuses parameters with InvalidArgument if
/// - a name is empty or occurs twice;
/// - a value is null, or a gradient or copy has another numel than its value or a dtype that does not fit;
/// - it has a shape with another number of elements than its logical tensor;
/// - memory is on another device than the first parameter's or than its Tensor says, or is not aligned to its
///   elements;
/// - a value, a copy or a given stream overlaps another one, a gradient, or the optimizer's own memory;
/// - a given stream has a name that the optimizer keeps no stream of, occurs twice, has another dtype or
/// numel
///   than the stream, or is a counter that holds no count, or one that it cannot count further from.
///
/// Gradients may share memory with each other, unless steps zero them (GradientHandling::zero_grad).
struct Parameter {
  std::string name;       ///< Unique within an optimizer and not empty; the key of its states.
  Tensor value;           ///< float32, bfloat16 or float16. Steps update it. May be empty (numel 0).
  Tensor grad = {};       ///< Numel and device of value; its dtype or float32. Null leaves the parameter out.
  std::size_t group = 0;  ///< Index of the parameter group, whose rule applies.
  /// If this is a shard of a larger tensor, its logical tensor: the offset of its first element there, at
  /// least 0. Stochastic rounding draws its bits by name and element, so shards with the same name draw the
  /// bits that the whole tensor would, however it is cut. A state of 8 bits has one scale for each 32
  /// elements of the logical tensor; a shard that has a part of such a group has a scale for that part.
  std::int64_t first = 0;
  /// If the shard is strided, such as columns of a matrix: element i of the value is element
  /// `first + i / run * pitch + i % run` of the logical tensor. `run` divides the number of elements, and
  /// `pitch` is at least `run`; the last element must lie below 2^53. The value itself has no gaps. Both are
  /// 0 for a shard without gaps.
  std::int64_t run = 0;
  std::int64_t pitch = 0;
  /// Optional 16-bit copy of a float32 value for the model to read: bfloat16 or float16, with the numel and
  /// device of the value. Written (round to nearest even) by every step that changes the value; never read by
  /// the optimizer. Leave null for no copy.
  Tensor copy = {};
  /// Storage of this parameter, in place of Options::storage or Options::float32_storage: for example states
  /// of float32 for an embedding beside matrices with states of 8 bits.
  std::optional<Storage> storage = std::nullopt;
  /// Memory of the caller's for what the optimizer keeps for this parameter. What is not listed is the
  /// optimizer's own.
  std::vector<GivenStream> streams = {};
  /// The dimensions of the logical tensor: {out, in}. Leave it empty for a vector. Only rules that keep
  /// numbers for rows and columns (Adafactor, AdamMini, CAME) read it: the last two dimensions are a matrix,
  /// and those before count matrices. They refuse a shard of a tensor of two dimensions or more.
  std::vector<std::int64_t> shape = {};
};

/// A range whose elements convert to Parameter.
template <class R>
concept ParameterRange =
    std::ranges::input_range<R> && std::convertible_to<std::ranges::range_reference_t<R>, Parameter>;

/// Copies the parameters of a range to a vector.
template <ParameterRange Parameters>
std::vector<Parameter> collect(Parameters&& parameters) {
  std::vector<Parameter> collected;
  for (auto&& parameter : parameters) collected.push_back(parameter);
  return collected;
}

}  // namespace onepass
