// staged_test.cpp - a staged update gives the bits of the fused loop, for every rule, variant, format, way of
// rounding, type of gradients and instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "host/backend/plan.hpp"
#include "host/backend/rule_ops.hpp"
#include "host/cpu/loops/table_loops.hpp"
#include "onepass/onepass.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/formats.hpp"
#include "step/table.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

constexpr std::size_t kGuard = 256;  ///< Bytes after each stream that no loop may touch.
constexpr int kSteps = 4;
constexpr std::int64_t kSizes[] = {1, 33, 640, 8192, 20011};

/// A format as the test sees it: the bytes of an element of each stream.
struct FormatBytes {
  std::size_t index;
  storage::FormatName name;
  std::size_t param, remainder, state;  ///< state: 1 for states of 8 bits, which also have scales.
  bool rounds_stochastically;
};

template <std::size_t... kFormat>
std::vector<FormatBytes> formats_of(std::index_sequence<kFormat...> /*formats*/) {
  const auto state_bytes = [](States states) -> std::size_t {
    return states == States::float32 ? 4 : states == States::bfloat16 ? 2 : 1;
  };
  const auto remainder_bytes = [](Master master) -> std::size_t {
    return std::array<std::size_t, 4>{0, 4, 2, 1}[static_cast<std::size_t>(master)];
  };
  return {{kFormat, storage::FormatAt<kFormat>::kName, size_of(storage::FormatAt<kFormat>::kName.param),
           remainder_bytes(storage::FormatAt<kFormat>::kName.master),
           state_bytes(storage::FormatAt<kFormat>::kName.states),
           storage::FormatAt<kFormat>::kRoundsStochastically}...};
}

/// What one step of the test varies besides rule and format.
struct Manner {
  const char* name;
  DType grad;
  bool rounds_stochastically;
  double limit;  ///< Limit for clipping by value.
  double l1;
  L1 l1_mode;
};
constexpr double kNone = std::numeric_limits<double>::infinity();

std::vector<Manner> manners_of(const FormatBytes& format) {
  std::vector<Manner> manners;
  for (const DType grad : {format.name.param, DType::float32}) {
    manners.push_back({"nearest", grad, false, kNone, 0.0, L1::proximal});
    manners.push_back({"clamped", grad, false, 0.5, 0.0, L1::proximal});
    manners.push_back({"l1", grad, false, kNone, 0.25, L1::subgradient});
    if (format.rounds_stochastically) {
      manners.push_back({"stochastic", grad, true, kNone, 0.0, L1::proximal});
      manners.push_back({"stochastic, proximal", grad, true, 2.0, 0.25, L1::proximal});
    }
    if (format.name.param == DType::float32) break;
  }
  return manners;
}

/// Numbers of every kind: among others 0, denormals, numbers that overflow when they are squared, Inf and
/// NaN, each in one of 16 blocks. So most of a tensor stays finite, and so do the scales of 8-bit states.
float number(std::uint64_t i) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kOdd[] = {3e38f, -3e38f, 1e-45f, kInf, -kInf, std::numeric_limits<float>::quiet_NaN()};
  if (i / 32 % 16 == 3 && mix(i) % 7 == 0) return kOdd[mix(i + 1) % std::size(kOdd)];
  return heavy_tailed_pool()[mix(i) % heavy_tailed_pool().size()];
}

void put(DType dtype, float x, std::byte* to) {
  const std::uint16_t low =
      dtype == DType::bfloat16 ? storage::BFloat16::encode(x) : storage::Float16::encode(x);
  dtype == DType::float32 ? std::memcpy(to, &x, sizeof x) : std::memcpy(to, &low, sizeof low);
}

/// One tensor in a format, aligned to its elements only, with a guard after each stream.
class Streams {
 public:
  Streams(const FormatBytes& format, int states, DType grad, std::int64_t numel) : grad_type_(grad) {
    const auto count = static_cast<std::size_t>(numel);
    param_.resize(count * format.param + kGuard);
    remainder_.resize(count * format.remainder + kGuard);
    grad_.resize(count * size_of(grad) + kGuard);
    const std::size_t scales = (count + 31) / 32 * 2;
    const auto codes = static_cast<std::size_t>(step::scales_at(numel));
    states_.resize(static_cast<std::size_t>(states));
    for (auto& state : states_) {
      state.resize((format.state == 1 ? codes + scales : count * format.state) + kGuard);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const float x = number(5 * i);
      put(format.name.param, x, param_.data() + i * format.param);
      // A master is the parameter in float32; other remainders are any bits.
      const std::uint64_t bits = mix(i);
      std::memcpy(remainder_.data() + i * format.remainder, &bits, format.remainder);
      if (format.remainder == 4) std::memcpy(remainder_.data() + i * 4, &x, 4);
    }
    entry_.param = param_.data(), entry_.remainder = remainder_.data();
    for (std::size_t s = 0; s < states_.size(); ++s) {
      entry_.states[s] = states_[s].data();
      if (format.state == 1) entry_.scales[s] = states_[s].data() + codes;
    }
    entry_.numel = numel;
    entry_.param_type = format.name.param, entry_.grad_type = grad;
    entry_.format = static_cast<std::uint8_t>(format.index);
  }
  void draw(int step) {
    const std::size_t bytes = size_of(grad_type_);
    for (std::size_t i = 0; i < (grad_.size() - kGuard) / bytes; ++i) {
      put(grad_type_, number(3 * i + 1000003u * static_cast<unsigned>(step)), grad_.data() + i * bytes);
    }
  }
  void copy_gradient(const Streams& from) { std::ranges::copy(from.grad_, grad_.begin()); }
  [[nodiscard]] const step::TensorEntry& entry() const { return entry_; }
  [[nodiscard]] void* grad() { return grad_.data(); }

  /// Returns the name of the first stream that differs, or nothing. All NaNs of float32 are equal.
  [[nodiscard]] std::string difference(const Streams& other, const FormatBytes& format) const {
    if (!equal(param_, other.param_, format.param)) return "parameters";
    if (!equal(remainder_, other.remainder_, format.remainder)) return "remainders";
    for (std::size_t s = 0; s < states_.size(); ++s) {
      if (!equal(states_[s], other.states_[s], format.state)) return "state " + std::to_string(s);
    }
    return "";
  }

 private:
  static bool equal(const std::vector<std::byte>& a, const std::vector<std::byte>& b, std::size_t bytes) {
    if (a == b) return true;
    if (bytes != sizeof(float)) return false;
    for (std::size_t i = 0; i + sizeof(float) <= a.size(); i += sizeof(float)) {
      float x, y;
      std::memcpy(&x, a.data() + i, sizeof x), std::memcpy(&y, b.data() + i, sizeof y);
      if (std::memcmp(&x, &y, sizeof x) != 0 && !(std::isnan(x) && std::isnan(y))) return false;
    }
    return true;
  }

  DType grad_type_;
  std::vector<std::byte> param_, remainder_, grad_;
  std::vector<std::vector<std::byte>> states_;
  step::TensorEntry entry_{};
};

/// The loops of one level, and whether they may round by the processor's instruction.
struct Level {
  Isa isa;
  const cpu::TableLoops& table;
  bool has_bf16_instruction;
};

std::vector<Level> levels() {
  std::vector<Level> levels{{Isa::baseline, cpu::table_loops<Isa::baseline>(), false}};
#if defined(__x86_64__)
  if (isa_available(Isa::avx2)) levels.push_back({Isa::avx2, cpu::table_loops<Isa::avx2>(), false});
  if (isa_available(Isa::avx512)) levels.push_back({Isa::avx512, cpu::table_loops<Isa::avx512>(), false});
  if (isa_available(Isa::avx512_bf16)) {
    levels.push_back({Isa::avx512, cpu::table_loops<Isa::avx512>(), true});
  }
#endif
  return levels;
}

const cpu::VariantLoops& loops_of(const VariantOps& ops, Isa isa) {
  return *ops.cpu_loops[static_cast<std::size_t>(isa)];
}

/// Step 3 settles, as step 16 of a tensor does.
constexpr int kFirst = 13;

template <class Rule>
rule::TensorCoefficients<rule::LoopsOf<Rule>> coefficients_of(Rule rule, const Manner& manner, int step) {
  rule.l1 = manner.l1, rule.l1_mode = manner.l1_mode;
  const rule::GradientScale scale{.factor = 0.5, .limit = static_cast<float>(manner.limit)};
  rule::TensorCoefficients<rule::LoopsOf<Rule>> k{
      .step = {}, .around = rule::Around::prepare(rule, scale, kFirst + step), .rule = rule.prepare(step)};
  k.step.draws = {.key = 5, .step = static_cast<std::uint32_t>(step), .tensor = 9};
  k.step.rounds_stochastically = manner.rounds_stochastically ? 1u : 0u;
  k.step.active = true;
  return k;
}

/// Steps a tensor by a fused loop, or in stages if there is none, in two calls that store differently.
template <class Coefficients>
void step_streams(const Level& level, const cpu::StagedLoops& staged, cpu::UpdateLoop fused, Coefficients k,
                  Streams& streams) {
  constexpr std::int64_t kChunk = 8192;
  // The tensor is the second of the table, so that its coefficients are not the first.
  const step::TensorEntry entries[] = {{}, streams.entry()};
  void* const grads[] = {nullptr, streams.grad()};
  // The first element of the tensor is number 96 of its logical tensor.
  const std::vector<step::Chunk> chunks =
      make_chunks(std::vector{Shard::whole(0), Shard::of(entries[1].numel, 96, 0, 0)}, kChunk);
  Coefficients coefficients[] = {{}, k};
  step::Table table{};
  table.tensors = entries, table.grads = grads, table.chunks = chunks.data();
  table.coefficients = coefficients, table.coefficient_bytes = sizeof k;
  const auto move = [&](std::int64_t first, std::int64_t last, cpu::Writes writes) {
    const cpu::Stores stores{writes, level.has_bf16_instruction, writes == cpu::Writes::past_cache};
    fused != nullptr ? fused(table, first, last, stores)
                     : level.table.update_staged(table, staged, first, last, stores);
  };
  const std::int64_t count = std::ssize(chunks);
  move(0, count / 2, cpu::Writes::past_cache);
  move(count / 2, count, cpu::Writes::through_cache);
}

/// Expects the staged updates of all levels to give the bits of a fused loop.
template <class Rule>
void expect_bits(const Rule& rule, const FormatBytes& format, const Manner& manner, std::int64_t numel) {
  SCOPED_TRACE(testing::Message() << manner.name << ", " << to_string(manner.grad) << " gradients, " << numel
                                  << " elements");
  const VariantOps& ops = rule_ops<Rule>().variants[rule.variant()];
  const int states = static_cast<int>(ops.states.size());
  const std::vector<Level> all = levels();
  Streams fused(format, states, manner.grad, numel);
  std::vector<Streams> staged;
  staged.reserve(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) staged.emplace_back(format, states, manner.grad, numel);
  const Level& by = all[1];
  for (int step = 1; step <= kSteps; ++step) {
    const auto k = coefficients_of(rule, manner, step);
    fused.draw(step);
    step_streams(by, {}, loops_of(ops, by.isa).fused_for(format.index), k, fused);
    for (std::size_t i = 0; i < all.size(); ++i) {
      staged[i].copy_gradient(fused);
      step_streams(all[i], loops_of(ops, all[i].isa).staged, nullptr, k, staged[i]);
      ASSERT_EQ(staged[i].difference(fused, format), "")
          << "differ in step " << step << " by " << to_string(all[i].isa)
          << (all[i].has_bf16_instruction ? " with bf16" : "");
    }
  }
}

template <class Rule>
void expect_bits(const Rule& rule) {
  SCOPED_TRACE(testing::Message() << Rule::kName << ", variant " << rule.variant());
  if (levels().size() < 2) GTEST_SKIP() << "this machine has no fused loops to compare with";
  for (const FormatBytes& format : formats_of(std::make_index_sequence<storage::kFusedCount>{})) {
    SCOPED_TRACE(testing::Message() << "format " << format.index);
    for (const Manner& manner : manners_of(format)) {
      for (const std::int64_t numel : kSizes) {
        expect_bits(rule, format, manner, numel);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(Staged, SGDHasTheBitsOfItsFusedLoops) {
  expect_bits(SGD{.lr = 0.125, .weight_decay = 0.25});
  expect_bits(SGD{.lr = 0.125, .momentum = 0.9, .dampening = 0.5});
}

TEST(Staged, RMSPropHasTheBitsOfItsFusedLoops) {
  for (const bool centered : {false, true}) {
    expect_bits(RMSProp{.lr = 0.125, .weight_decay = 0.25, .centered = centered});
    expect_bits(RMSProp{.lr = 0.125, .momentum = 0.9, .centered = centered});
  }
}

TEST(Staged, AdamHasTheBitsOfItsFusedLoops) {
  expect_bits(Adam{.lr = 0.125, .weight_decay = 0.25});
  expect_bits(Adam{.lr = 0.125, .amsgrad = true});
  expect_bits(AdamW{.lr = 0.125, .weight_decay = 0.25});
}

TEST(Staged, TheBaselineLevelAndOtherFormatsHaveNoFusedLoops) {
  for (const VariantOps& ops : rule_ops<Adam>().variants) {
    for (std::size_t format = 0; format < storage::kFormatCount; ++format) {
      EXPECT_EQ(loops_of(ops, Isa::baseline).fused_for(format), nullptr);
#if defined(__x86_64__)
      const bool is_fused = format < storage::kFusedCount;
      EXPECT_EQ(loops_of(ops, Isa::avx2).fused_for(format) != nullptr, is_fused) << format;
      EXPECT_EQ(loops_of(ops, Isa::avx512).fused_for(format) != nullptr, is_fused) << format;
#endif
    }
  }
}

#if defined(__x86_64__)

// The two formats differ in their states alone: all-bf16 is bf16 there.
TEST(Staged, VariantWithoutStatesHasOneLoopForFormatsThatDifferInTheirStates) {
  const auto& ops = rule_ops<SGD>().variants;
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    EXPECT_EQ(loops_of(ops[0], isa).fused_for(2), loops_of(ops[0], isa).fused_for(1));
    EXPECT_NE(loops_of(ops[1], isa).fused_for(2), loops_of(ops[1], isa).fused_for(1));
  }
}

#endif

}  // namespace
}  // namespace onepass::test
