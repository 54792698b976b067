// subject.cpp - builds a case, checks it, and hands out the contestants to time.
#include "bench/subject.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "bench/check/reference.hpp"
#include "bench/check/second_optimizer.hpp"

namespace onepass::bench {
namespace {

constexpr std::uint64_t kSeed = 7;  ///< Seed of stochastic rounding.
/// A norm that no gradient here exceeds: steps measure the norm and clip nothing.
constexpr double kNoLimit = 1e30;

Optimizer make_optimizer(const Case& measured, const Model& model) {
  const Options options{.threads = measured.device.is_cuda() ? 0 : measured.threads,
                        .isa = measured.device.is_cuda() ? Isa::best : measured.isa,
                        .storage = measured.format->low(),
                        .float32_storage = measured.format->wide(),
                        .seed = kSeed};
  return {measured.rule->rule, model.parameters(), options};
}

std::unique_ptr<Rivals> make_rivals(const Scene& scene) {
#ifdef ONEPASS_BENCH_CUDA
  if (scene.measured.device.is_cuda()) return cuda_rivals(scene);
#endif
  return cpu_rivals(scene);
}

Bytes expected_bytes(const ReferenceStep& step, const Part& window, const Bytes& before) {
  return step.rule.by_hand != nullptr ? moved_by_hand(step, window, before)
                                      : moved_by_second_optimizer(step, window, before);
}

[[noreturn]] void fail(const Case& measured, const std::string& contestant, const std::string& what) {
  throw std::runtime_error(fmt::format("onepass_bench: {}: {} {}", measured.text(), contestant, what));
}

}  // namespace

Subject::Subject(Case measured)
    : case_(std::move(measured)),
      model_(case_.layout, *case_.format, case_.device),
      optimizer_(make_optimizer(case_, model_)),
      moved_(total_bytes(optimizer_.traffic())),
      streams_(streams_of(model_, *case_.format, optimizer_)),
      windows_(choose_windows(case_.layout.tensors)),
      rivals_(make_rivals({case_, streams_, moved_})) {
  if (case_.clips) optimizer_.clip_grad_norm(kNoLimit);
}

void Subject::capture(Machine& machine) {
  replay_ = machine.captured([this](Stream stream) { optimizer_.step(stream); });
}

std::vector<Contestant> Subject::own() {
  std::vector<Contestant> own{{kOnepass, [this] { optimizer_.step({}); }}};
  if (replay_) own.push_back({kGraph, replay_});
  return own;
}

std::vector<Bytes> Subject::taken() const {
  std::vector<Bytes> all;
  const ElementBytes bytes = element_bytes(*case_.format);
  synchronize(case_.device);
  for (const Part& window : windows_) {
    all.push_back(take(streams_[window.tensor], window, bytes, case_.device));
  }
  return all;
}

std::vector<double> Subject::scalars_of(std::size_t tensor) {
  std::vector<double> scalars;
  const std::vector<Parameter> one{{.name = "p", .value = Tensor(nullptr, DType::float32, 1)}};
  for (const RequiredStream& stream : Optimizer::required_memory(case_.rule->rule, one).front().streams) {
    if (stream.dtype != DType::float64) continue;
    const Tensor scalar = optimizer_.state(tensor_name(tensor), stream.name);
    copy({Device::cpu(), &scalars.emplace_back()}, {scalar.device, scalar.data}, sizeof(double));
  }
  return scalars;
}

void Subject::expect_step(const Contestant& contestant, int t, Leaves leaves) {
  const std::vector<Bytes> before = taken();
  std::vector<std::vector<double>> carried;
  for (const Part& window : windows_) carried.push_back(scalars_of(window.tensor));
  contestant.run();
  const std::vector<Bytes> after = taken();
  for (std::size_t i = 0; i < windows_.size(); ++i) {
    const Part& window = windows_[i];
    const ReferenceStep step{*case_.rule, *case_.format, t, kSeed, carried[i]};
    const Bytes expected = expected_bytes(step, window, before[i]);
    if (expected == after[i]) continue;
    const std::string where = fmt::format("in elements {} to {} of tensor {}, at step {}", window.begin,
                                          window.end, window.tensor, t);
    if (leaves != Leaves::the_step_rounded) {
      fail(case_, contestant.name, fmt::format("differs in bits from {} {}", case_.rule->reference(), where));
    }
    const double off = deviation(step, window, before[i], expected, after[i]);
    if (!(off <= 1.0)) {
      fail(case_, contestant.name,
           fmt::format("differs from the step by hand by {:.3g} times the allowed rounding error {}", off,
                       where));
    }
  }
}

void Subject::expect_unchanged(const Contestant& contestant) {
  std::vector<Bytes> before = taken();
  contestant.run();
  std::vector<Bytes> after = taken();
  for (std::size_t i = 0; i < windows_.size(); ++i) {
    if (!element_bytes(*case_.format).reads_param) before[i].param = after[i].param;
    if (before[i] != after[i]) fail(case_, contestant.name, "changed memory that it must leave unchanged");
  }
}

std::int64_t Subject::verify() {
  const std::vector<Contestant> ours = own();
  expect_step(ours.front(), 1, Leaves::the_step);
  expect_step(ours.front(), 2, Leaves::the_step);
  if (replay_) expect_step(ours.back(), 3, Leaves::the_step);
  for (const Rival& rival : rivals_->all()) {
    if (rival.leaves == Leaves::memory_as_it_was) {
      expect_unchanged(rival.contestant);
    } else {
      expect_step(rival.contestant, kBaselineStep, rival.leaves);
    }
  }
  std::int64_t compared = 0;
  for (const Part& window : windows_) compared += window.end - window.begin;
  return compared;
}

std::vector<Contestant> Subject::contestants(bool baselines) {
  std::vector<Contestant> all = own();
  for (Rival& rival : rivals_->all()) {
    if (baselines || rival.leaves == Leaves::memory_as_it_was) all.push_back(std::move(rival.contestant));
  }
  return all;
}

}  // namespace onepass::bench
