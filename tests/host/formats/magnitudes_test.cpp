// magnitudes_test.cpp - with gradients from 1e-15 to 1e15, the compact format loses no moment that float32
// keeps.
#include <gtest/gtest.h>

#include <cmath>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

constexpr std::int64_t kCount = 100;  // the last block is partial
constexpr int kStepsOfDecade = 3;

/// Gradients of similar magnitude. Each element keeps its sign; every 16th is always zero.
std::vector<float> gradient_of(int decade, std::int64_t step) {
  std::vector<float> gradient(kCount);
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double sign = i % 2 == 0 ? 1.0 : -1.0;
    const double size = 0.5 + uniform(i * 1000 + static_cast<std::uint64_t>(step));
    gradient[i] = i % 16 == 15 ? 0.0f : static_cast<float>(sign * size * std::pow(10.0, decade));
  }
  return gradient;
}

/// A rule without weight decay, so that the magnitude of its moments depends on nothing but the gradients.
struct Undecayed {
  const char* name;
  Rule rule;
};

std::vector<Undecayed> undecayed_rules() {
  return {{"SGD_momentum", SGD{.momentum = 0.9}},
          {"RMSProp", RMSProp{}},
          {"RMSProp_centered", RMSProp{.centered = true}},
          {"RMSProp_momentum", RMSProp{.momentum = 0.9}},
          {"RMSProp_centered_momentum", RMSProp{.momentum = 0.9, .centered = true}},
          {"Adam", Adam{}},
          {"Adam_amsgrad", Adam{.amsgrad = true}},
          {"AdamW", AdamW{.weight_decay = 0.0}}};
}

/// An optimizer in compact, and one in float32 that gets the gradients as the first one reads them.
struct Twins {
  FormatModel narrow, wide;
  Optimizer in_compact, in_float32;

  Twins(const Undecayed& rule, const FormatCase& format)
      : narrow(format, Device::cpu(), {kCount}),
        wide(format_case("float32"), Device::cpu(), {kCount}),
        in_compact(rule.rule, narrow.parameters(),
                   {.storage = format.low(), .float32_storage = format.wide(), .seed = 7}),
        in_float32(rule.rule, wide.parameters()) {}
  void step(const std::vector<float>& gradient) {
    narrow.grad(0).write(gradient);
    wide.grad(0).write(narrow.grad(0).floats());
    in_compact.step();
    in_float32.step();
  }
};

/// The value that compact stores for a float32 state: the variance for square_avg beside grad_avg, otherwise
/// the state itself.
double stored_of(const SavedParameter& wide, const SavedState& state, std::size_t i) {
  const double value = decoded(DType::float32, state.bytes.data(), i);
  if (state.name != "square_avg" || wide.states.size() < 2 || wide.states[1].name != "grad_avg") return value;
  const double mean = decoded(DType::float32, wide.states[1].bytes.data(), i);
  return value - mean * mean;
}

/// Succeeds if moments are zero exactly where those in float32 are, and all others are within a factor of
/// two, which is the width of some codes at this range.
testing::AssertionResult keeps_moments(const Twins& twins) {
  const SavedParameter narrow = twins.in_compact.state_dict().parameters[0];
  const SavedParameter wide = twins.in_float32.state_dict().parameters[0];
  for (std::size_t s = 0; s < wide.states.size(); ++s) {
    const std::vector<float> values = decoded_state(narrow.states[s], kCount);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double wanted = stored_of(wide, wide.states[s], i);
      const double ratio = wanted == 0 && values[i] == 0 ? 1.0 : values[i] / wanted;
      if (ratio >= 0.5 && ratio <= 2.0) continue;
      return testing::AssertionFailure() << wide.states[s].name << " of element " << i << " is " << values[i]
                                         << ", but " << wanted << " in float32";
    }
  }
  for (const float value : decoded_param(format_case("compact"), twins.narrow.value(0), narrow)) {
    if (!std::isfinite(value)) return testing::AssertionFailure() << "a parameter is " << value;
  }
  return testing::AssertionSuccess();
}

/// Steps one optimizer through all decades from `from` to `to` and checks its moments after every step.
void expect_kept(const Undecayed& rule, const FormatCase& format, int from, int to) {
  Twins twins(rule, format);
  std::int64_t step = 0;
  for (int decade = from; decade != to + (from <= to ? 1 : -1); decade += from <= to ? 1 : -1) {
    for (int i = 0; i < kStepsOfDecade; ++i) {
      twins.step(gradient_of(decade, ++step));
      ASSERT_TRUE(keeps_moments(twins))
          << rule.name << " in " << format.name << ", step " << step << ", 1e" << decade;
    }
  }
}

class Magnitudes : public testing::TestWithParam<Undecayed> {};

INSTANTIATE_TEST_SUITE_P(Rules, Magnitudes, testing::ValuesIn(undecayed_rules()), by_name);

// The second moments of such gradients range from 1e-30 to 1e30.
TEST_P(Magnitudes, GradientsFrom1em15To1e15KeepTheirMoments) {
  for (const char* const name : {"compact", "compact_grad32"}) {
    const FormatCase& format = format_case(name);
    for (int decade = -15; decade <= 15; ++decade) expect_kept(GetParam(), format, decade, decade);
    expect_kept(GetParam(), format, -15, 15);
    expect_kept(GetParam(), format, 15, -15);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace onepass::test
