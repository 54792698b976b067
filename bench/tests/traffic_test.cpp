// traffic_test.cpp - the limit moves exactly the bytes that a step moves.
#include "bench/limit/traffic.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "bench/case.hpp"
#include "bench/data/model.hpp"

namespace onepass::bench {
namespace {

constexpr std::int64_t kNumel = 1000;  // a multiple of neither 16 nor 32
constexpr std::byte kOld{0x5a};

/// The streams of a storage format, with a margin behind each.
class Memory {
 public:
  Memory(const FormatChoice& format, int states) : bytes_(element_bytes(format)), states_(states) {
    streams.numel = kNumel;
    streams.param = stream(bytes_.param);
    streams.grad = stream(bytes_.grad);
    if (bytes_.remainder > 0) streams.remainder = stream(bytes_.remainder);
    for (int s = 0; s < states; ++s) {
      streams.states[s] = stream(bytes_.state);
      if (bytes_.has_scales) streams.scales[s] = stream(1);
    }
  }

  /// Expects streams to hold `moved` in elements [begin, end) and the old bytes elsewhere.
  void expect(std::byte moved, std::int64_t begin, std::int64_t end) const {
    expect(streams.param, bytes_.param, bytes_.reads_param ? moved : moved ^ kOld, {begin, end});
    expect(streams.grad, bytes_.grad, kOld, {begin, end});
    if (bytes_.remainder > 0) expect(streams.remainder, bytes_.remainder, moved, {begin, end});
    for (int s = 0; s < states_; ++s) {
      expect(streams.states[s], bytes_.state, moved, {begin, end});
      if (bytes_.has_scales) expect(streams.scales[s], 2, moved, {begin / 32, (end + 31) / 32});
    }
  }

  TensorStreams streams;

 private:
  struct Range {
    std::int64_t begin, end;
  };
  static constexpr std::size_t kMargin = 64;

  std::byte* stream(int bytes) {
    owned_.emplace_back(static_cast<std::size_t>(kNumel * bytes) + kMargin, kOld);
    return owned_.back().data();
  }
  void expect(const std::byte* at, int bytes, std::byte moved, Range range) const {
    const auto size = static_cast<std::int64_t>(
        std::ranges::find_if(owned_, [at](const auto& one) { return one.data() == at; })->size());
    for (std::int64_t i = 0; i < size; ++i) {
      const bool inside = i >= range.begin * bytes && i < range.end * bytes;
      ASSERT_EQ(at[i], inside ? moved : kOld) << "byte " << i << ", " << bytes << " bytes an element";
    }
  }

  ElementBytes bytes_;
  int states_;
  std::vector<std::vector<std::byte>> owned_;
};

std::vector<Isa> isas() {
  std::vector<Isa> there{Isa::baseline};
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (isa_available(isa)) there.push_back(isa);
  }
  return there;
}

template <class Check>
void for_each_kind(const Check& check) {
  for (const Isa isa : isas()) {
    for (const FormatChoice& format : format_choices()) {
      for (int states = 0; states <= TensorStreams::kMaxStates; ++states) {
        SCOPED_TRACE(testing::Message() << onepass::to_string(isa) << " " << format.name << " " << states);
        const bool low = format.grad == format.param;
        check(traffic(isa, {format_index(format), low, states}), Memory(format, states));
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(Traffic, MovingWithZeroLeavesMemoryUnchanged) {
  for_each_kind([](Traffic move, const Memory& memory) {
    move(memory.streams, 0, kNumel, 0);
    memory.expect(kOld, 0, kNumel);
  });
}

// Ones instead of zero flip every bit that is written.
TEST(Traffic, WritesEveryByteOfItsRangeAndNoOther) {
  for (const auto& [begin, end] : {std::pair{0, 1000}, {64, 1000}, {128, 960}, {0, 1000}}) {
    for_each_kind([begin = begin, end = end](Traffic move, const Memory& memory) {
      move(memory.streams, begin, end, 0xffffffffu);
      memory.expect(~kOld, begin, end);
    });
  }
}

TEST(Traffic, ReadsEveryByteOfTheGradients) {
  for (const FormatChoice& format : format_choices()) {
    for (const Isa isa : isas()) {
      const Traffic move = traffic(isa, {format_index(format), format.grad == format.param, 0});
      const Memory memory(format, 0);
      const std::int64_t bytes = kNumel * element_bytes(format).grad;
      for (std::int64_t i = 0; i < bytes; ++i) memory.streams.grad[i] = std::byte{0};
      ASSERT_EQ(move(memory.streams, 0, kNumel, 0), 0u);
      for (std::int64_t i = 0; i < bytes; ++i) {
        memory.streams.grad[i] = std::byte{1};
        ASSERT_NE(move(memory.streams, 0, kNumel, 0), 0u) << format.name << " byte " << i;
        memory.streams.grad[i] = std::byte{0};
      }
    }
  }
}

// Compares the bytes that the limit moves with the library's own count of the bytes of a step.
TEST(Traffic, MovesAsManyBytesAsAStep) {
  const Layout layout = flat(6400);
  for (const RuleChoice& rule : rule_choices()) {
    for (const FormatChoice& format : format_choices()) {
      if (!is_measured(rule, format)) continue;
      const Model model(layout, format, Device::cpu());
      const Optimizer optimizer(rule.rule, model.parameters(),
                                {.storage = format.low(), .float32_storage = format.wide()});
      const ElementBytes bytes = element_bytes(format);
      const double scale = bytes.has_scales ? 2.0 / 32 : 0.0;
      const double each = (bytes.reads_param ? 2 : 1) * bytes.param + bytes.grad + 2 * bytes.remainder +
                          rule.states() * 2 * (bytes.state + scale);
      EXPECT_EQ(total_bytes(optimizer.traffic()), each * 6400) << rule.name << " " << format.name;
    }
  }
}

}  // namespace
}  // namespace onepass::bench
