// past_cache_test.cpp - streams that a step writes but does not read get the same bits whether the CPU loop
// stores them past the cache or through it.
#include <gtest/gtest.h>

#include "support/environment.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

/// Formats with a stream that a step only writes: a parameter beside its master, or a 16-bit copy.
std::vector<FormatCase> written_formats() {
  std::vector<FormatCase> formats;
  std::ranges::copy_if(format_cases(), std::back_inserter(formats), [](const FormatCase& format) {
    return format.param == DType::float32 || format.storage.master == Master::float32;
  });
  return formats;
}

class PastCache : public testing::TestWithParam<std::tuple<FormatCase, Isa>> {
 protected:
  void SetUp() override {
    if (!isa_available(isa())) GTEST_SKIP() << "this machine has no " << to_string(isa());
  }
  static const FormatCase& format() { return std::get<FormatCase>(GetParam()); }
  static Isa isa() { return std::get<Isa>(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(All, PastCache,
                         testing::Combine(testing::ValuesIn(written_formats()),
                                          testing::Values(Isa::baseline, Isa::avx2, Isa::avx512,
                                                          Isa::avx512_bf16)),
                         [](const testing::TestParamInfo<std::tuple<FormatCase, Isa>>& info) {
                           return std::string(std::get<FormatCase>(info.param).name) + "_" +
                                  std::string(to_string(std::get<Isa>(info.param)));
                         });

/// Parameters in a format. float32 parameters get bfloat16 and float16 copies in turn.
class Written {
 public:
  explicit Written(const FormatCase& format) : model_(format, Device::cpu(), with_a_large_one()) {
    for (const Parameter& parameter : model_.parameters()) {
      parameters_.push_back(parameter);
      if (format.param != DType::float32) continue;
      const std::size_t i = copies_.size();
      copies_.emplace_back(Device::cpu(), i % 2 == 0 ? DType::bfloat16 : DType::float16,
                           parameter.value.numel, static_cast<int>(i % 3));
      parameters_.back().copy = copies_.back().tensor();
    }
  }
  [[nodiscard]] const std::vector<Parameter>& parameters() const { return parameters_; }
  [[nodiscard]] const FormatModel& model() const { return model_; }
  [[nodiscard]] bool intact() const {
    return model_.intact() && std::ranges::all_of(copies_, &FormatBuffer::intact);
  }
  [[nodiscard]] std::vector<std::byte> bytes(const StateDict& dict) const {
    std::vector<std::byte> all = all_bytes(model_, dict);
    for (const FormatBuffer& copy : copies_) std::ranges::copy(copy.bytes(), std::back_inserter(all));
    return all;
  }

 private:
  FormatModel model_;
  std::vector<FormatBuffer> copies_;
  std::vector<Parameter> parameters_;
};

std::vector<std::byte> after_steps(const RuleCase& rule, const FormatCase& format, const Options& options,
                                   const char* cache_bytes) {
  const Environment cache("ONEPASS_CACHE_BYTES", cache_bytes);
  const Written written(format);
  Optimizer optimizer = rule.make(written.parameters(), options);
  for (int step = 1; step <= 3; ++step) {
    written.model().draw(step, 30);
    if (options.accumulates_gradients) {
      optimizer.accumulate();
      written.model().draw_finite(step);
      optimizer.accumulate();
    }
    optimizer.step();
  }
  EXPECT_TRUE(written.intact());
  return written.bytes(optimizer.state_dict());
}

TEST_P(PastCache, StoringPastTheCacheChangesNoBit) {
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const bool accumulates : {false, true}) {
      SCOPED_TRACE(rule.name + (accumulates ? ", of micro-batches" : ""));
      const Options options{.isa = isa(),
                            .storage = format().low(),
                            .float32_storage = format().wide(),
                            .seed = 7,
                            .accumulates_gradients = accumulates};
      const auto past = after_steps(rule, format(), options, "0");
      ASSERT_EQ(past, after_steps(rule, format(), options, "1000000000000"));
    }
  }
}

}  // namespace
}  // namespace onepass::test
