// cuda_limit_test.cpp - the limit on a GPU moves exactly the bytes that a step moves.
#include <gtest/gtest.h>

#include <vector>

#include "bench/cases/rules.hpp"
#include "bench/cuda/limit.hpp"

namespace onepass::bench {
namespace {

constexpr Device kGpu = Device::cuda(0);
constexpr std::byte kOld{0x5a};
constexpr std::uint32_t kOnes = 0xffffffffu;

class CudaLimitTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!cuda_available()) GTEST_SKIP() << "there is no CUDA device here";
  }
};

/// Streams of two tensors in one allocation, with a margin behind each stream.
class Memory {
 public:
  /// The second tensor's streams begin `skew` bytes after a multiple of 16.
  Memory(const FormatChoice& format, int states, std::size_t skew = 0)
      : bytes_(element_bytes(format)), states_(states), content_(kBytes, kOld), device_(kGpu, kBytes) {
    for (const std::int64_t numel : {std::int64_t{20001}, std::int64_t{100}}) {
      const std::size_t shift = numel == 100 ? skew : 0;
      TensorStreams one;
      one.numel = numel;
      one.grad = place(numel * bytes_.grad, shift, kOld);
      one.param = place(numel * bytes_.param, shift, bytes_.reads_param ? ~kOld : std::byte{0xff});
      if (bytes_.remainder > 0) one.remainder = place(numel * bytes_.remainder, shift, ~kOld);
      for (int s = 0; s < states_; ++s) {
        one.states[s] = place(numel * bytes_.state, shift, ~kOld);
        if (bytes_.has_scales) one.scales[s] = place((numel + 31) / 32 * 2, shift, ~kOld);
      }
      streams_.push_back(one);
    }
    expected_ = content_;
    for (const Range& range : ranges_) std::fill_n(expected_.begin() + range.begin, range.size, range.turned);
    write();
  }

  [[nodiscard]] CudaLimit limit() const { return {kGpu, bytes_, streams_}; }
  [[nodiscard]] std::vector<std::byte> now() const {
    std::vector<std::byte> bytes(kBytes);
    copy({Device::cpu(), bytes.data()}, {kGpu, device_.data()}, kBytes);
    return bytes;
  }
  [[nodiscard]] const std::vector<std::byte>& before() const { return content_; }
  /// The memory after a run with ones: written streams have all bits flipped (or set, if they are only
  /// written), gradients and margins are unchanged.
  [[nodiscard]] const std::vector<std::byte>& turned() const { return expected_; }
  [[nodiscard]] bool reads_param() const { return bytes_.reads_param; }

  /// Sets all bytes of the gradients to 0 except one.
  void set_gradients(std::size_t tensor, std::int64_t byte) {
    for (const TensorStreams& one : streams_) {
      std::fill_n(content_.begin() + offset(one.grad), one.numel * bytes_.grad, std::byte{0});
    }
    content_[static_cast<std::size_t>(offset(streams_[tensor].grad) + byte)] = std::byte{4};
    write();
  }
  [[nodiscard]] std::int64_t grad_bytes(std::size_t tensor) const {
    return streams_[tensor].numel * bytes_.grad;
  }

 private:
  struct Range {
    std::ptrdiff_t begin;
    std::int64_t size;
    std::byte turned;
  };
  static constexpr std::size_t kBytes = 1 << 20, kMargin = 64;

  std::byte* place(std::int64_t size, std::size_t shift, std::byte turned) {
    next_ = (next_ + kMargin) / 16 * 16 + shift;
    ranges_.push_back({static_cast<std::ptrdiff_t>(next_), size, turned});
    std::byte* const at = device_.as<std::byte>() + next_;
    next_ += static_cast<std::size_t>(size) + kMargin;
    EXPECT_LT(next_, kBytes);
    return at;
  }
  [[nodiscard]] std::ptrdiff_t offset(const std::byte* at) const { return at - device_.as<std::byte>(); }
  void write() { copy({kGpu, device_.data()}, {Device::cpu(), content_.data()}, kBytes); }

  ElementBytes bytes_;
  int states_;
  std::vector<std::byte> content_, expected_;
  DeviceBuffer device_;
  std::size_t next_ = 0;
  std::vector<Range> ranges_;
  std::vector<TensorStreams> streams_;
};

TEST_F(CudaLimitTest, RunWithZeroLeavesMemoryThatItReadsUnchanged) {
  for (const FormatChoice& format : format_choices()) {
    const Memory memory(format, 2);
    if (!memory.reads_param()) continue;  // the parameter becomes 0
    const CudaLimit limit = memory.limit();
    limit.run(0);
    EXPECT_TRUE(memory.now() == memory.before()) << format.name;
    EXPECT_EQ(limit.seen(), 0u);
  }
}

TEST_F(CudaLimitTest, WritesEveryByteThatAStepWritesAndNoOther) {
  for (const FormatChoice& format : format_choices()) {
    for (int states = 0; states <= TensorStreams::kMaxStates; ++states) {
      const Memory memory(format, states, 4);
      memory.limit().run(kOnes);
      EXPECT_TRUE(memory.now() == memory.turned()) << format.name << " with " << states << " states";
    }
  }
}

TEST_F(CudaLimitTest, ReadsTheGradients) {
  for (const FormatChoice& format : format_choices()) {
    Memory memory(format, 0, 4);
    for (const std::size_t tensor : {0, 1}) {
      const std::int64_t last = memory.grad_bytes(tensor) - 1;
      for (const std::int64_t byte : {std::int64_t{0}, std::int64_t{17}, last / 2, last - 16, last}) {
        memory.set_gradients(tensor, byte);
        const CudaLimit limit = memory.limit();
        limit.run(kOnes);
        EXPECT_NE(limit.seen(), 0u) << format.name << " byte " << byte << " of tensor " << tensor;
      }
    }
  }
}

// Compares with the library's own count of the bytes of a step.
TEST_F(CudaLimitTest, MovesAsManyBytesAsAStep) {
  for (const RuleChoice& rule : rule_choices()) {
    for (const FormatChoice& format : format_choices()) {
      if (!is_measured(rule, format)) continue;
      const Model model(many(3, 3200), format, kGpu);
      Optimizer optimizer(rule.rule, model.parameters(),
                          {.storage = format.low(), .float32_storage = format.wide()});
      const CudaLimit limit(kGpu, element_bytes(format), streams_of(model, format, optimizer));
      EXPECT_EQ(limit.traffic(), total_bytes(optimizer.traffic())) << rule.name << " " << format.name;
    }
  }
}

}  // namespace
}  // namespace onepass::bench
