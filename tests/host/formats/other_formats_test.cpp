// other_formats_test.cpp - the staged update of the formats for which a rule has no fused loop gives, with
// every instruction set, the bits of decode, rule and encode, applied element by element.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "host/backend/plan.hpp"
#include "host/backend/rule_ops.hpp"
#include "host/cpu/codecs/stores.hpp"
#include "host/cpu/loops/table_loops.hpp"
#include "onepass/onepass.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/formats.hpp"
#include "step/table.hpp"
#include "support/formats/two_speeds.hpp"
#include "support/numbers/random_reference.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

using storage::kBlock;

/// Elements after each stream that no loop may touch.
constexpr std::size_t kGuard = 40;

/// One tensor in a format. Its streams are aligned to their elements only, as a caller's memory may be.
template <class FormatOf, class GradCodecOf, class VariantOf>
struct FormatTensor {
  using Format = FormatOf;
  using GradCodec = GradCodecOf;
  using Variant = VariantOf;
  using Param = typename Format::Param;
  static constexpr std::size_t kStates = static_cast<std::size_t>(kStateCount<Variant>);

  std::int64_t numel;
  std::vector<typename Param::Element> param;
  std::vector<typename Param::Remainder> remainder;
  std::vector<typename GradCodec::Element> grad;
  std::array<std::vector<std::byte>, kStates> states;

  explicit FormatTensor(std::int64_t count)
      : numel(count), param(guarded()), remainder(guarded()), grad(guarded()) {
    for (std::size_t i = 0; i < param.size(); ++i) {
      if constexpr (Format::kName.master == Master::remainder8) {
        Param::encode_stochastic(heavy_tailed(i), param[i], remainder[i], static_cast<std::uint32_t>(mix(i)));
      } else {
        Param::encode(heavy_tailed(i), param[i], remainder[i]);
      }
    }
    const std::size_t blocks = (guarded() + kBlock - 1) / kBlock;
    const auto scales = static_cast<std::size_t>(step::scales_at(numel));
    for (auto& state : states) state.resize(scales + std::max(blocks * sizeof(std::uint16_t), 4 * guarded()));
  }
  [[nodiscard]] std::size_t guarded() const { return static_cast<std::size_t>(numel) + kGuard; }

  void draw(std::uint64_t step) {
    for (std::size_t i = 0; i < grad.size(); ++i) {
      grad[i] = GradCodec::encode(heavy_tailed(1000 * step + 3 * i));
    }
  }
  bool operator==(const FormatTensor& other) const {
    if constexpr (Format::kHasRemainder) {
      if (remainder != other.remainder) return false;
    }
    return param == other.param && states == other.states;
  }
};

/// Converts one block of a state between memory and float32, with any codec.
template <class Tensor, std::size_t kState>
class StateBlock {
 public:
  using Format = typename Tensor::Format;
  static constexpr bool kNonnegative = (kNonnegativeStates<typename Tensor::Variant> >> kState & 1u) != 0;
  static constexpr bool kFloat32 = (kFloat32States<typename Tensor::Variant> >> kState & 1u) != 0;
  static constexpr bool kHasCodes = Format::kQuantized && !kFloat32;
  using Codec = std::conditional_t<kFloat32, storage::Float32, typename Format::State>;
  using Code = std::conditional_t<kNonnegative, storage::Nonnegative8, storage::Signed8>;

  StateBlock(Tensor& tensor, std::int64_t block)
      : at_(tensor.states[kState].data()),
        scale_(at_ + step::scales_at(tensor.numel) + block * 2),
        first_(block * kBlock),
        count_(static_cast<int>(std::min<std::int64_t>(kBlock, tensor.numel - first_))) {}

  void load(float* values) const {
    for (int i = 0; i < count_; ++i) {
      if constexpr (kHasCodes) {
        values[i] = Code::decode(get<typename Code::Code>(i), scale());
      } else {
        values[i] = Codec::decode(get<typename Codec::Element>(i));
      }
    }
  }
  void store(const float* values, storage::Dither dither, [[maybe_unused]] bool rounds) const {
    if constexpr (kHasCodes) {
      storage::Bits largest = 0;
      for (int i = 0; i < count_; ++i) {
        largest = std::max(largest, storage::magnitude_of(Code::stage(values[i])));
      }
      const std::uint16_t stored = Code::scale(largest);
      std::memcpy(scale_, &stored, sizeof stored);
      for (int i = 0; i < count_; ++i) {
        put(i, Code::encode(Code::stage(values[i]), scale(), dither.at<storage::kNoiseBits>(i)));
      }
    } else {
      for (int i = 0; i < count_; ++i) put(i, encoded(values[i], dither.at<16>(i), rounds));
    }
  }

 private:
  template <class Number>
  [[nodiscard]] Number get(int i) const {
    Number number;
    std::memcpy(&number, at_ + static_cast<std::size_t>(first_ + i) * sizeof number, sizeof number);
    return number;
  }
  template <class Number>
  void put(int i, Number number) const {
    std::memcpy(at_ + static_cast<std::size_t>(first_ + i) * sizeof number, &number, sizeof number);
  }
  [[nodiscard]] float scale() const {
    std::uint16_t stored;
    std::memcpy(&stored, scale_, sizeof stored);
    return storage::BFloat16::decode(stored);
  }
  static auto encoded(float x, [[maybe_unused]] std::uint32_t noise, [[maybe_unused]] bool rounds) {
    if constexpr (Format::kHasLossyStates && !kFloat32) {
      if (rounds) return Codec::encode_stochastic(x, noise);
    }
    return Codec::encode(x);
  }

  std::byte* at_;
  std::byte* scale_;
  std::int64_t first_;
  int count_;
};

/// The block of its logical tensor with which a tensor begins.
constexpr std::int64_t kFirstBlock = 3;

/// The random bits with which a stream of a block is rounded. The halves of a block's streams are
/// consecutive.
inline storage::Dither dither_of(const rule::Draws& draws, std::int64_t block, int each, std::size_t stream) {
  const reference::Place place{draws.key, reference::kRounding, draws.step, draws.tensor};
  const std::uint64_t of_tensor = std::uint64_t{kFirstBlock} + static_cast<std::uint64_t>(block);
  return storage::Dither{reference::half(place, of_tensor * static_cast<unsigned>(each) + stream)};
}

/// Takes one step with the codecs and the rule alone.
template <class Rule, class Tensor, std::size_t... kState>
void step_elements(const rule::TensorCoefficients<Rule>& k, Tensor& tensor,
                   std::index_sequence<kState...> /*states*/) {
  using Format = typename Tensor::Format;
  using Param = typename Format::Param;
  constexpr bool kDithers = Format::kName.master == Master::remainder8;
  constexpr bool kMayRound = Format::kName.master == Master::none && Format::kName.param != DType::float32;
  constexpr bool kDrawsForStates = Format::kHasLossyStates;
  constexpr std::size_t kStreams = (kDrawsForStates ? Tensor::kStates : 0) + (kMayRound || kDithers ? 1 : 0);
  constexpr int kHalves = kStreams <= 2 ? static_cast<int>(kStreams) : 4;
  constexpr auto kSettles = Format::kQuantized ? rule::Extras::settle : rule::Extras::all;
  const bool rounds = k.step.rounds_stochastically != 0;
  for (std::int64_t block = 0; block * kBlock < tensor.numel; ++block) {
    [[maybe_unused]] float states[sizeof...(kState) + 1][kBlock];
    (..., StateBlock<Tensor, kState>(tensor, block).load(states[kState]));
    for (int i = 0; i < kBlock && block * kBlock + i < tensor.numel; ++i) {
      const auto at = static_cast<std::size_t>(block * kBlock + i);
      float p = Param::decode(tensor.param[at], tensor.remainder[at]);
      rule::move<typename Tensor::Variant, Format::kHasLossyStates, kSettles>(
          k, p, Tensor::GradCodec::decode(tensor.grad[at]), states[kState][i]...);
      const auto noise = [&] {
        return dither_of(k.step.draws, block, kHalves, kHalves - 1).template at<16>(i);
      };
      if constexpr (kDithers) {
        Param::encode_stochastic(p, tensor.param[at], tensor.remainder[at], noise());
      } else {
        Param::encode(p, tensor.param[at], tensor.remainder[at]);
      }
      if constexpr (kMayRound) {
        if (rounds) tensor.param[at] = Format::LowGrad::encode_stochastic(p, noise());
      }
    }
    (..., StateBlock<Tensor, kState>(tensor, block)
              .store(states[kState], dither_of(k.step.draws, block, kHalves, kState), rounds));
  }
}

/// The loops of an instruction set.
struct Level {
  Isa isa;
  const cpu::TableLoops& table;
};

/// Takes the same step in stages, in two calls that store differently, which changes no bit.
template <class Rule, class Tensor>
void step_staged(const Level& level, const rule::TensorCoefficients<Rule>& k, Tensor& tensor,
                 std::size_t format, std::int64_t chunk_size) {
  step::TensorEntry entry{};
  entry.param = tensor.param.data();
  if constexpr (Tensor::Format::kHasRemainder) entry.remainder = tensor.remainder.data();
  for (std::size_t s = 0; s < Tensor::kStates; ++s) {
    entry.states[s] = tensor.states[s].data();
    entry.scales[s] = tensor.states[s].data() + step::scales_at(tensor.numel);
  }
  entry.numel = tensor.numel;
  entry.param_type = Tensor::Param::kDType;
  entry.grad_type = Tensor::GradCodec::kDType;
  entry.format = static_cast<std::uint8_t>(format);
  void* const grad = tensor.grad.data();
  const std::vector<step::Chunk> chunks =
      make_chunks(std::vector{Shard::of(tensor.numel, kFirstBlock * kBlock, 0, 0)}, chunk_size);
  step::Table table{};
  rule::TensorCoefficients<Rule> coefficients = k;
  table.tensors = &entry;
  table.grads = &grad;
  table.chunks = chunks.data();
  table.coefficients = &coefficients;
  table.coefficient_bytes = sizeof coefficients;
  const auto count = static_cast<std::int64_t>(chunks.size());
  const auto& variants = rule_ops<Rule>().variants;
  std::size_t variant = 0;
  while (std::ssize(variants[variant].states) != std::ssize(tensor.states)) ++variant;
  const cpu::StagedLoops& staged = variants[variant].cpu_loops[static_cast<std::size_t>(level.isa)]->staged;
  level.table.update_staged(table, staged, 0, count / 2,
                            {cpu::Writes::past_cache, isa_available(Isa::avx512_bf16), true});
  level.table.update_staged(table, staged, count / 2, count, {cpu::Writes::through_cache, false, false});
}

/// Settings of a step besides the rule.
struct Manner {
  bool rounds_stochastically;
  double limit;  ///< Limit for clipping by value; infinite for no clipping.
  std::int64_t chunk_size;
  std::int64_t first;  ///< Number of the first step. Step 16 settles.
};
constexpr double kInfinite = __builtin_huge_val();
constexpr Manner kManners[] = {
    {false, kInfinite, 64, 1}, {false, 0.5, 8192, 1}, {true, kInfinite, 8192, 15}, {true, 0.5, 96, 1}};

template <class Tensor, class Rule>
void expect_steps(const Level& level, const Rule& rule, const Manner& manner, std::size_t format,
                  std::int64_t numel) {
  SCOPED_TRACE(testing::Message() << numel << " elements in chunks of " << manner.chunk_size
                                  << (manner.rounds_stochastically ? ", stochastic" : ", nearest"));
  Tensor expected(numel), actual(numel);
  for (std::uint32_t step = 0; step < 3; ++step) {
    expected.draw(step);
    actual.grad = expected.grad;
    const rule::GradientScale scale{.factor = 0.5, .limit = static_cast<float>(manner.limit)};
    rule::TensorCoefficients<Rule> k{.step = {},
                                     .around = rule::Around::prepare(rule, scale, manner.first + step),
                                     .rule = rule.prepare(manner.first + step)};
    k.step.draws = {.key = 5, .step = step, .tensor = 9};
    k.step.rounds_stochastically = manner.rounds_stochastically ? 1u : 0u;
    k.step.active = true;
    step_elements(k, expected, std::make_index_sequence<Tensor::kStates>{});
    step_staged(level, k, actual, format, manner.chunk_size);
    ASSERT_TRUE(expected == actual) << "step " << step;
  }
}

constexpr std::int64_t kSizes[] = {1, 7, 31, 32, 33, 63, 64, 65, 100, 515, 1100, 5003};

template <class Variant, std::size_t kFormat, class Rule>
void expect_format(const Level& level, const Rule& rule) {
  using Format = storage::FormatAt<kFormat>;
  SCOPED_TRACE(testing::Message() << "format " << kFormat);
  for (const Manner& manner : kManners) {
    for (const std::int64_t numel : kSizes) {
      expect_steps<FormatTensor<Format, storage::Float32, Variant>>(level, rule, manner, kFormat, numel);
      expect_steps<FormatTensor<Format, typename Format::LowGrad, Variant>>(level, rule, manner, kFormat,
                                                                            numel);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

/// Tests a format if the variant has no fused loop for it.
template <class Variant, std::size_t kFormat, class Rule>
void expect_if_staged(const Level& level, const Rule& rule) {
  if constexpr (!storage::kIsFused<kStateCount<Variant>, kFloat32States<Variant>, kFormat>) {
    const VariantOps& ops = rule_ops<Rule>().variants[rule.variant()];
    ASSERT_EQ(ops.cpu_loops[static_cast<std::size_t>(level.isa)]->fused_for(kFormat), nullptr);
    expect_format<Variant, kFormat>(level, rule);
  }
}

template <class Variant, class Rule, std::size_t... kFormat>
void expect_formats(const Level& level, const Rule& rule, std::index_sequence<kFormat...> /*formats*/) {
  SCOPED_TRACE(testing::Message() << Rule::kName << " by " << to_string(level.isa));
  if (!isa_available(level.isa)) return;
  (..., expect_if_staged<Variant, kFormat>(level, rule));
}

template <class Variant, class Rule>
void expect_all(const Rule& rule) {
  constexpr auto kFormats = std::make_index_sequence<storage::kFormatCount>{};
  expect_formats<Variant>({Isa::baseline, cpu::table_loops<Isa::baseline>()}, rule, kFormats);
#if defined(__x86_64__)
  expect_formats<Variant>({Isa::avx2, cpu::table_loops<Isa::avx2>()}, rule, kFormats);
  expect_formats<Variant>({Isa::avx512, cpu::table_loops<Isa::avx512>()}, rule, kFormats);
#endif
}

TEST(OtherFormats, StepIsDecodeRuleEncode) {
  expect_all<SGD::Plain>(SGD{.lr = 0.125});
  expect_all<SGD::Momentum>(SGD{.lr = 0.125, .momentum = 0.9, .dampening = 0.5});
  expect_all<Adam::Plain>(Adam{.lr = 0.125, .weight_decay = 0.25});
}

// Such a rule has no fused loop where a format narrows its other states.
TEST(OtherFormats, StepOfARuleThatKeepsStatesInFloat32IsDecodeRuleEncode) {
  expect_all<TwoSpeeds::Mixed>(TwoSpeeds{.lr = 0.125, .weight_decay = 0.25});
  expect_all<TwoSpeeds::Slow>(TwoSpeeds{.lr = 0.125, .slow_alone = true});
}

}  // namespace
}  // namespace onepass::test
