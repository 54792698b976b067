// bad_input_test.cpp - bad tensors, names, options and environment variables are refused and change nothing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <string>

#include "support/environment.hpp"
#include "support/model.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr AdamW kRule{.lr = 0.01, .weight_decay = 0.1};

/// An optimizer with two good parameters that has taken two steps. Each test passes it bad input.
class BadInput : public testing::Test {
 protected:
  void SetUp() override { train(model_, optimizer_, 2); }

  /// Expects the constructor to refuse `bad`, and add_parameters() to refuse to add it to good parameters.
  void expect_refused(const std::vector<Parameter>& bad, std::initializer_list<std::string> words) {
    EXPECT_TRUE(refused([&] { Optimizer{kRule, bad}; }, words)) << "by the constructor";
    EXPECT_TRUE(refused([&] { optimizer_.add_parameters(bad); }, words)) << "by add_parameters";
  }

  /// Expects the optimizer to continue as if it had received no bad input.
  void TearDown() override {
    train(model_, optimizer_, 1, 3);
    Model twin(shapes_);
    Optimizer steady(kRule, twin.parameters());
    train(twin, steady, 3);
    EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model_.parameters(), optimizer_)));
    EXPECT_TRUE(model_.intact());
  }

  const std::vector<Shape> shapes_{{.numel = 70}, {.numel = 9}};
  Model model_{shapes_};
  Optimizer optimizer_{kRule, model_.parameters()};
  std::vector<float> floats_ = std::vector<float>(100, 0.5f);
  std::span<float> all_{floats_};
};

TEST_F(BadInput, GradientOfAnotherSizeIsRefused) {
  expect_refused({{"good", all_.subspan(0, 5)}, {"odd", all_.subspan(10, 20), all_.subspan(40, 19)}},
                 {"\"odd\"", "20", "19"});
}

TEST_F(BadInput, NullValueIsRefused) {
  expect_refused({{"good", all_.subspan(0, 5)}, {"void", Tensor{nullptr, 12}}}, {"\"void\"", "12", "null"});
}

TEST_F(BadInput, NegativeSizeIsRefused) {
  expect_refused({{"minus", Tensor{floats_.data(), -3}}}, {"\"minus\"", "-3"});
}

TEST_F(BadInput, SizeThatNoMemoryHasIsRefused) {
  for (const std::int64_t numel : {(std::int64_t{1} << 53) + 1, std::int64_t{1} << 62}) {
    expect_refused({{"vast", Tensor{floats_.data(), numel}}}, {"\"vast\"", std::to_string(numel), "2^53"});
  }
}

TEST_F(BadInput, PlaceInTheLogicalTensorThatNoShardHasIsRefused) {
  const auto expect_place_refused = [&](std::int64_t first, std::int64_t run, std::int64_t pitch,
                                        std::initializer_list<std::string> words) {
    expect_refused(
        {{.name = "part", .value = all_.subspan(0, 12), .first = first, .run = run, .pitch = pitch}}, words);
  };
  constexpr std::int64_t kMost = std::int64_t{1} << 53, kHuge = std::numeric_limits<std::int64_t>::max();
  expect_place_refused(-1, 0, 0, {"\"part\" has first = -1", "at least 0"});
  expect_place_refused(0, -4, -4, {"\"part\" has run = -4 and pitch = -4", "above 0"});
  expect_place_refused(0, 0, 8, {"\"part\" has run = 0 and pitch = 8", "both must be 0"});
  expect_place_refused(0, 4, 3, {"\"part\" has run = 4 and pitch = 3", "pitch at least run"});
  expect_place_refused(0, 5, 9, {"\"part\" has 12 elements and run = 5", "run must divide"});
  expect_place_refused(kMost - 11, 0, 0, {"\"part\" has first = ", "12 elements", "2^53"});
  expect_place_refused(kHuge, 0, 0, {"\"part\" has first = ", "2^53"});
  expect_place_refused(0, 4, kMost / 2, {"\"part\" has first = 0", "pitch = ", "2^53"});
  expect_place_refused(0, 4, kHuge, {"\"part\" has first = 0", "2^53"});
  // The last element of these is the last one that may be.
  EXPECT_NO_THROW((Optimizer{
      kRule, std::vector<Parameter>{{.name = "last", .value = all_.subspan(0, 12), .first = kMost - 12}}}));
  EXPECT_NO_THROW((Optimizer{
      kRule,
      std::vector<Parameter>{
          {.name = "last", .value = all_.subspan(0, 12), .first = 4, .run = 4, .pitch = kMost / 2 - 4}}}));
}

TEST_F(BadInput, EmptyNameIsRefused) { expect_refused({{"", all_.subspan(0, 5)}}, {"name"}); }

TEST_F(BadInput, NameThatOccursTwiceIsRefused) {
  expect_refused({{"twin", all_.subspan(0, 5)}, {"twin", all_.subspan(5, 5)}}, {"\"twin\""});
}

TEST_F(BadInput, NameThatIsRegisteredAlreadyIsRefused) {
  const std::vector<Parameter> again{{"t1", all_.subspan(0, 5)}};
  EXPECT_TRUE(refused([&] { optimizer_.add_parameters(again); }, {"\"t1\""}));
}

TEST_F(BadInput, OverlappingValuesAreRefused) {
  expect_refused({{"left", all_.subspan(0, 10)}, {"right", all_.subspan(9, 10)}},
                 {"\"left\"", "\"right\"", "overlap"});
  expect_refused(
      {{"outer", all_.subspan(0, 50)}, {"other", all_.subspan(60, 5)}, {"inner", all_.subspan(20, 5)}},
      {"\"outer\"", "\"inner\"", "overlap"});
  expect_refused({{"same", all_.subspan(0, 10)}, {"again", all_.subspan(0, 10)}}, {"\"same\"", "\"again\""});
}

TEST_F(BadInput, GradientThatOverlapsItsOwnValueIsRefused) {
  expect_refused({{"self", all_.subspan(0, 10), all_.subspan(9, 10)}}, {"\"self\"", "overlap"});
}

TEST_F(BadInput, GradientThatOverlapsAnotherValueIsRefused) {
  expect_refused({{"one", all_.subspan(0, 10), all_.subspan(25, 10)}, {"two", all_.subspan(30, 10)}},
                 {"\"one\"", "\"two\"", "overlap"});
}

TEST_F(BadInput, ValueThatOverlapsARegisteredValueIsRefused) {
  const std::vector<Parameter> over{{"over", Tensor{model_.value(0).host().data() + 69, 1}}};
  EXPECT_TRUE(refused([&] { optimizer_.add_parameters(over); }, {"\"over\"", "\"t0\"", "overlap"}));
}

TEST_F(BadInput, ValueThatOverlapsARegisteredGradientIsRefused) {
  const std::vector<Parameter> over{{"over", Tensor{model_.grad(1).host().data(), 1}}};
  EXPECT_TRUE(refused([&] { optimizer_.add_parameters(over); }, {"\"over\"", "\"t1\"", "overlap"}));
}

TEST_F(BadInput, GroupWithoutARuleIsRefused) {
  expect_refused({{"lost", all_.subspan(0, 5), {}, 1}}, {"\"lost\"", "group 1"});
}

TEST_F(BadInput, HostMemoryDeclaredAsGpuMemoryIsRefused) {
  const std::vector<Parameter> wrong{{"wrong", Tensor{floats_.data(), 5, Device::cuda(0)}}};
  expect_refused(wrong, {"cuda:0"});
}

TEST_F(BadInput, GradientOnAnotherDeviceIsRefused) {
  expect_refused({{"split", all_.subspan(0, 5), Tensor{floats_.data() + 5, 5, Device::cuda(0)}}},
                 {"\"split\"", "cuda:0", "cpu"});
}

TEST_F(BadInput, MissingDeviceIsRefused) {
  const std::vector<Parameter> far{{"far", Tensor{floats_.data(), 5, Device::cuda(99)}}};
  expect_refused(far, {"cuda:99"});
  EXPECT_TRUE(refused([] { DeviceBuffer(Device::cuda(99), 4); }, {"cuda:99"}));
  EXPECT_TRUE(refused([] { static_cast<void>(device_name(Device::cuda(99))); }, {"cuda:99"}));
}

TEST_F(BadInput, MisalignedElementsAreRefused) {
  auto* odd = reinterpret_cast<float*>(reinterpret_cast<char*>(floats_.data()) + 2);
  expect_refused({{"odd", Tensor{odd, 5}}}, {"\"odd\"", "aligned"});
}

TEST_F(BadInput, EmptyListOfParametersIsRefused) {
  EXPECT_TRUE(refused([] { Optimizer{kRule, std::vector<Parameter>{}}; }, {"no parameters"}));
}

TEST_F(BadInput, EmptyListOfRulesIsRefused) {
  EXPECT_TRUE(refused([&] { Optimizer{std::vector<AdamW>{}, model_.parameters()}; }, {"rule"}));
}

TEST_F(BadInput, UnknownParameterOrStateIsRefused) {
  EXPECT_TRUE(refused([&] { static_cast<void>(optimizer_.state("t7", "exp_avg")); }, {"\"t7\""}));
  EXPECT_TRUE(refused([&] { static_cast<void>(optimizer_.state("t0", "exp_average")); },
                      {"\"exp_average\"", "exp_avg"}));
  EXPECT_TRUE(
      refused([&] { static_cast<void>(optimizer_.state("t0", "max_exp_avg_sq")); }, {"max_exp_avg_sq"}));
  EXPECT_TRUE(refused([&] { static_cast<void>(optimizer_.step_count("t7")); }, {"\"t7\""}));
}

TEST_F(BadInput, GradientsThatDoNotFitAreRefused) {
  std::vector<Tensor> gradients = model_.gradients();
  const auto set = [&] { optimizer_.set_gradients(gradients); };
  gradients.pop_back();
  EXPECT_TRUE(refused(set, {"1", "2"}));
  gradients.emplace_back(all_.subspan(0, 8));
  EXPECT_TRUE(refused(set, {"\"t1\"", "8", "9"}));
  gradients[1] = model_.value(0).tensor();
  gradients[1].numel = 9;
  EXPECT_TRUE(refused(set, {"\"t1\"", "\"t0\"", "overlap"}));
  // The first gradient is good, but must not be taken over, because the second one is bad.
  gradients[0] = all_.subspan(0, 70);
  gradients[1] = Tensor{floats_.data(), 9, Device::cuda(0)};
  EXPECT_TRUE(refused(set, {"\"t1\"", "cuda:0"}));
}

TEST_F(BadInput, OptionsOutOfRangeAreRefused) {
  for (const std::int64_t chunk_size : {-64, -1, 1, 63, 65, 100}) {
    EXPECT_TRUE(refused([&] { Optimizer(kRule, model_.parameters(), {.chunk_size = chunk_size}); },
                        {"chunk_size", "64", std::to_string(chunk_size)}));
  }
  for (const int threads : {-1, 1025, std::numeric_limits<int>::max()}) {
    EXPECT_TRUE(refused([&] { Optimizer(kRule, model_.parameters(), {.threads = threads}); },
                        {"threads", "1024", std::to_string(threads)}));
  }
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
    if (isa_available(isa)) continue;
    EXPECT_TRUE(
        refused([&] { Optimizer(kRule, model_.parameters(), {.isa = isa}); }, {std::string(to_string(isa))}));
  }
}

TEST(BadEnvironment, UnknownInstructionSetIsRefused) {
  const Environment isa("ONEPASS_ISA", "avx1024");
  EXPECT_TRUE(refused([] { best_isa(); }, {"ONEPASS_ISA", "avx1024"}));
}

TEST(BadEnvironment, InvalidThreadCountIsRefused) {
  for (const char* text : {"0", "-1", "1025", "two", "2x", ""}) {
    const Environment threads("ONEPASS_THREADS", text);
    if (*text == '\0') continue;  // an empty variable counts as unset
    EXPECT_TRUE(refused([] { cpu_threads(); }, {"ONEPASS_THREADS", text}));
  }
}

TEST_F(BadInput, InvalidCacheSizeIsRefused) {
  for (const char* text : {"-1", "32M", "1125899906842625"}) {
    const Environment cache("ONEPASS_CACHE_BYTES", text);
    EXPECT_TRUE(refused([&] { Optimizer(kRule, model_.parameters()); }, {"ONEPASS_CACHE_BYTES", text}));
  }
}

TEST(ForcedEnvironment, VariablesDetermineIsaThreadsAndCacheSize) {
  const Environment isa("ONEPASS_ISA", "baseline");
  const Environment threads("ONEPASS_THREADS", "3");
  const Environment cache("ONEPASS_CACHE_BYTES", "5000000000");
  EXPECT_EQ(best_isa(), Isa::baseline);
  EXPECT_EQ(cpu_threads(), 3);
  EXPECT_EQ(cpu_cache_bytes(), 5'000'000'000);
}

TEST(UnforcedEnvironment, DetectedCacheSizeIsPlausible) {
  EXPECT_GE(cpu_cache_bytes(), 1 << 18);
  EXPECT_LE(cpu_cache_bytes(), std::int64_t{1} << 32);
}

}  // namespace
}  // namespace onepass::test
