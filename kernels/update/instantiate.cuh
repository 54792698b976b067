// instantiate.cuh - makes the CudaRule of a rule. One small .cu per rule includes it.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "kernels/launch.cuh"
#include "kernels/update/any_format.cuh"
#include "kernels/update/axes.cuh"
#include "kernels/update/cuda_rule.hpp"
#include "kernels/update/elementwise.cuh"
#include "kernels/update/measure.cuh"
#include "kernels/update/prepare.cuh"
#include "onepass/rule/concept.hpp"
#include "onepass/storage/formats.hpp"

namespace onepass::kernels {

using namespace step;

/// A kernel with one thread for each tensor.
template <void (*kKernel)(Table)>
CudaLaunch over_tensors() {
  return {.resident_blocks = [] { return resident_blocks(kKernel, kPrepareThreads); },
          .launch =
              [](const Table& table, int resident, Stream stream) {
                const std::int64_t work = (stepped_count(table) + kPrepareThreads - 1) / kPrepareThreads;
                launch(kKernel, {blocks_for(work, resident), kPrepareThreads, stream.handle()}, table);
              }};
}

template <class Rule>
CudaLaunch finish_of() {
  if constexpr (kSumCount<Rule> != 0) {
    return over_tensors<finish<Rule>>();
  } else {
    return {};
  }
}

/// The kernel for the sums over tensors in any format.
template <class Rule, class Variant>
CudaLaunch measure_of() {
  if constexpr (rule::kMeasuredStreams<Variant> != 0) {
    constexpr int kThreadCount = AnyStreams<Variant>::kThreadCount;
    return {.resident_blocks = [] { return resident_blocks(measure<Rule, Variant>, kThreadCount); },
            .launch =
                [](const Table& table, int resident, Stream stream) {
                  launch(measure<Rule, Variant>,
                         {blocks_for(table.chunk_count, resident), kThreadCount, stream.handle()}, table);
                }};
  } else {
    return {};
  }
}

template <class Rule, class Variant, class Format>
CudaLaunch update_of() {
  return {
      .resident_blocks = [] { return resident_blocks(elementwise<Rule, Variant, Format>, kThreads<Format>); },
      .launch =
          [](const Table& table, int resident, Stream stream) {
            launch(elementwise<Rule, Variant, Format>,
                   {blocks_for(table.chunk_count, resident), kThreads<Format>, stream.handle()}, table);
          }};
}

/// The kernel for all formats that have none of their own.
template <class Rule, class Variant>
CudaLaunch any_update_of() {
  constexpr int kThreadCount = AnyStreams<Variant>::kThreadCount;
  return {.resident_blocks = [] { return resident_blocks(any_format<Rule, Variant>, kThreadCount); },
          .launch =
              [](const Table& table, int resident, Stream stream) {
                launch(any_format<Rule, Variant>,
                       {blocks_for(table.chunk_count, resident), kThreadCount, stream.handle()}, table);
              }};
}

/// The update kernel of a format. A variant with numbers of rows and columns has one for all, since its steps
/// read the gradient several times. A variant without states has one for all formats that differ in their
/// states alone.
template <class Rule, class Variant, std::size_t kFormat>
CudaLaunch update_for() {
  constexpr int kStates = kStateCount<Variant>;
  if constexpr (kAxisCount<Variant> == 0 && storage::kIsFused<kStates, kFloat32States<Variant>, kFormat>) {
    return update_of<Rule, Variant, storage::FormatAt<storage::kFormatFor<kStates, kFormat>>>();
  } else {
    return any_update_of<Rule, Variant>();
  }
}

template <class Rule, std::size_t kVariant, std::size_t... kFormat>
CudaUpdates updates_of(std::index_sequence<kFormat...>) {
  return {update_for<Rule, typename rule::Compiled<Rule>::template At<kVariant>, kFormat>()...};
}

template <class Rule, std::size_t... kVariant>
const CudaUpdates* make_updates(std::index_sequence<kVariant...>) {
  static const std::array<CudaUpdates, sizeof...(kVariant)> made{
      updates_of<Rule, kVariant>(std::make_index_sequence<storage::kFormatCount>{})...};
  return made.data();
}

template <class Rule, std::size_t... kVariant>
const CudaLaunch* make_measures(std::index_sequence<kVariant...>) {
  static const std::array<CudaLaunch, sizeof...(kVariant)> made{
      measure_of<Rule, typename rule::Compiled<Rule>::template At<kVariant>>()...};
  return made.data();
}

template <class Rule, std::size_t... kVariant>
const std::array<CudaAxes, 2>* make_axes(std::index_sequence<kVariant...>) {
  static const std::array<std::array<CudaAxes, 2>, sizeof...(kVariant)> made{
      std::array{axes_of<Rule, typename rule::Compiled<Rule>::template At<kVariant>, 0>(),
                 axes_of<Rule, typename rule::Compiled<Rule>::template At<kVariant>, 1>()}...};
  return made.data();
}

/// Every rule has a prepare kernel, and one to finish if it takes sums. A rule that uses the loops of another
/// takes its other kernels from it.
template <ElementwiseRule Rule>
CudaRule instantiate() {
  using Loops = rule::LoopsOf<Rule>;
  using Compiled = std::make_index_sequence<rule::Compiled<Rule>::kCount>;
  CudaRule made{.prepare = over_tensors<prepare<Rule>>(),
                .updates = nullptr,
                .measures = nullptr,
                .axes = nullptr,
                .finish = finish_of<Rule>()};
  if constexpr (std::is_same_v<Loops, Rule>) {
    made.updates = make_updates<Rule>(Compiled{});
    made.measures = make_measures<Rule>(Compiled{});
    made.axes = make_axes<Rule>(Compiled{});
  } else {
    made.updates = cuda_rule<Loops>().updates;
    made.measures = cuda_rule<Loops>().measures;
    made.axes = cuda_rule<Loops>().axes;
  }
  return made;
}

}  // namespace onepass::kernels
