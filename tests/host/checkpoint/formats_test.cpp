// formats_test.cpp - a checkpoint of one storage format loads into any other, rounded to nearest.
#include <gtest/gtest.h>

#include <cmath>

#include "support/checkpoint/files.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_resume.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"
#include "support/refusal.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

/// One case of each format; the others differ in gradients and rounding alone.
std::vector<FormatCase> formats() {
  std::vector<FormatCase> cases;
  for (const char* const name :
       {"float32", "bf16", "all_bf16", "bf16_master", "bf16_split", "compact", "f16_master"}) {
    cases.push_back(format_case(name));
  }
  return cases;
}

/// Largest distance of a number to the nearest that has `bits` bits of mantissa after the first.
double half_step(double x, int bits) { return std::ldexp(std::abs(x), -bits - 1) + std::ldexp(1.0, -134); }

/// Half a code, and the half of the noise's last bit by which the middle between two codes is missed.
constexpr double kHalfCode = 0.5 + 0.5 / (1 << storage::kNoiseBits);

/// Largest error of a state of `to` (storage/quantized8.hpp), which holds a number rounded to nearest: half
/// of the bounds for dithered codes, and the rounding of float32.
double state_error(const FormatCase& to, const SavedState& state, std::size_t numel, std::size_t i,
                   double x) {
  if (state.dtype == DType::float32) return 0.0;
  if (to.storage.states == States::bfloat16) return half_step(x, 7);
  const double scale = scale_of(state, numel, i), h = 1.0 / 255;
  if (is_nonnegative(state.name)) {
    const double y = std::sqrt(x) / scale;
    const double off = x > 0 && y < h / 2 ? h : h * kHalfCode;  // what is above 0 has a code of at least 1
    return scale * scale * off * (2 * y + off) + std::ldexp(x, -21);
  }
  const int k = std::ilogb(1 + 14.75 * std::abs(x) / scale);
  return scale * std::ldexp(1.0, k) / 472 * kHalfCode + std::ldexp(scale, -22);
}

/// Largest error of a master of `to`.
double value_error(const FormatCase& to, double x) {
  if (to.param == DType::float32 || to.storage.master == Master::float32 ||
      to.storage.master == Master::split)
    return 0.0;
  return half_step(x, to.storage.master == Master::none ? 7 : 15);
}

bool is_low(const FormatCase& format) {
  return format.param != DType::float32 && format.storage.states != States::float32;
}

/// Returns whether a saved state is a state of the rule with a number for each element.
bool is_of_rule(const SavedState& state) {
  return state.name != "remainder" && state.name != "master" && state.dtype != DType::float64;
}

/// The states of a tensor as a format stores them: with less than 32 bits, the variance of centered RMSProp
/// stands in place of square_avg, the square of Adamax's exp_inf in its place, and the sign of Rprop's prev
/// in its place (docs/storage.md).
std::map<std::string, std::vector<float>> stored_as(const SavedParameter& saved, std::size_t numel,
                                                    bool was_low, bool is_low) {
  std::map<std::string, std::vector<float>> states;
  for (const SavedState& state : saved.states) {
    if (is_of_rule(state)) states[state.name] = decoded_state(state, numel);
  }
  if (was_low == is_low) return states;
  for (std::size_t i = 0; i < numel; ++i) {
    if (states.contains("grad_avg")) {
      float& square = states["square_avg"][i];
      const float average = states["grad_avg"][i];
      square =
          was_low ? std::fma(average, average, square) : std::fmax(std::fma(-average, average, square), 0.0f);
    }
    if (states.contains("exp_inf")) {
      float& norm = states["exp_inf"][i];
      norm = was_low ? std::sqrt(norm) : norm * norm;
    }
    if (states.contains("prev") && states["prev"][i] != 0.0f && is_low) {
      states["prev"][i] = std::copysign(1.0f, states["prev"][i]);
    }
  }
  return states;
}

class FormatChange : public testing::TestWithParam<RuleCase> {
 protected:
  /// Loads what `from` has saved after some steps into `to`, and compares all numbers.
  void expect_converted(const FormatCase& from, const FormatCase& to) {
    SCOPED_TRACE(std::string(from.name) + " to " + to.name);
    const Folder folder;
    const FormatModel model(from, Device::cpu(), kFormatSizes), other(to, Device::cpu(), kFormatSizes);
    Optimizer saved = GetParam().make(model.parameters(),
                                      {.storage = from.low(), .float32_storage = from.wide(), .seed = 3});
    for (int step = 1; step <= 4; ++step) {
      model.draw_finite(step);
      saved.step();
    }
    save(folder / "run", saved);
    Optimizer loaded =
        GetParam().make(other.parameters(), {.storage = to.low(), .float32_storage = to.wide()});
    (void)load(folder / "run", loaded);
    const StateDict was = saved.state_dict(), is = loaded.state_dict();
    EXPECT_EQ(is.seed, 3u);
    for (std::size_t t = 0; t < model.size(); ++t) {
      expect_close_values(to, decoded_param(from, model.value(t), was.parameters[t]),
                          decoded_param(to, other.value(t), is.parameters[t]));
      expect_close_states(from, to, was.parameters[t], is.parameters[t], model.value(t).floats().size());
    }
    expect_steps_go_on(other, loaded);
  }

 private:
  static void expect_close_values(const FormatCase& to, const std::vector<float>& was,
                                  const std::vector<float>& is) {
    ASSERT_EQ(was.size(), is.size());
    for (std::size_t i = 0; i < was.size(); ++i) {
      ASSERT_LE(std::abs(double{was[i]} - is[i]), value_error(to, was[i]))
          << "element " << i << ", " << was[i];
    }
  }
  static void expect_close_states(const FormatCase& from, const FormatCase& to, const SavedParameter& was,
                                  const SavedParameter& is, std::size_t numel) {
    auto wanted = stored_as(was, numel, is_low(from), is_low(to));
    for (const SavedState& state : is.states) {
      if (!is_of_rule(state)) continue;
      const std::vector<float> numbers = decoded_state(state, numel);
      for (std::size_t i = 0; i < numel; ++i) {
        const double x = wanted.at(state.name)[i];
        ASSERT_LE(std::abs(x - numbers[i]), state_error(to, state, numel, i, x))
            << state.name << " of " << is.name << ", element " << i << ", " << x << " and " << numbers[i];
      }
    }
  }
  static void expect_steps_go_on(const FormatModel& model, Optimizer& optimizer) {
    model.draw_finite(5);
    optimizer.step();
    EXPECT_EQ(optimizer.steps(), 5);
    for (std::size_t t = 0; t < model.size(); ++t) {
      for (const float one : model.value(t).floats()) ASSERT_TRUE(std::isfinite(one));
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Rules, FormatChange, testing::ValuesIn(one_case_per_layout()), by_name);

TEST_P(FormatChange, RoundsToNearestFromEveryFormatToEveryOther) {
  for (const FormatCase& from : formats()) {
    for (const FormatCase& to : formats()) expect_converted(from, to);
  }
}

/// Loads a file into new parameters of a format and saves them as another file.
void through(const FormatCase& format, const std::filesystem::path& from, const std::filesystem::path& to) {
  const FormatModel model(format, Device::cpu(), kFormatSizes);
  Optimizer optimizer{
      AdamW{}, model.parameters(), {.storage = format.low(), .float32_storage = format.wide()}};
  (void)load(from, optimizer);
  save(to, optimizer);
}

TEST(FormatChanges, ThroughFormatsThatHoldAFloat32LoseNothing) {
  const Folder folder;
  const FormatModel model(format_case("float32"), Device::cpu(), kFormatSizes);
  Optimizer optimizer{AdamW{}, model.parameters()};
  train(model, optimizer, 1, 3);
  save(folder / "0", optimizer);
  std::string last = "0";
  for (const char* const name : {"bf16_master", "bf16_split", "f16_master", "bf16_split", "float32"}) {
    through(format_case(name), folder / last, folder / (last + "1"));
    last += "1";
  }
  // Float16 parameters of large numbers are Inf, but their masters are not. For all_bytes() a NaN is a NaN.
  const FormatModel other(format_case("float32"), Device::cpu(), kFormatSizes);
  Optimizer loaded{AdamW{}, other.parameters()};
  (void)load(folder / last, loaded);
  EXPECT_EQ(all_bytes(model, optimizer.state_dict()), all_bytes(other, loaded.state_dict()));
}

TEST(FormatChanges, OfMovingAveragesRoundToNearest) {
  const Folder folder;
  std::vector<float> value{1.0f, 1.00390625f, 1.01171875f, 3e-39f}, grad(4, 0.0f);
  const std::vector<Parameter> parameters{{.name = "w", .value = value, .grad = grad}};
  Optimizer exact{SGD{}, parameters, {.ema = EMA{}}},
      low{SGD{}, parameters, {.ema = EMA{.dtype = DType::bfloat16}}};
  save(folder / "exact", exact);
  (void)load(folder / "exact", low);
  const std::vector<float> nearest{1.0f, 1.0f, 1.015625f, 33 * 0x1p-133f};
  EXPECT_EQ(decoded_state(low.state_dict().parameters[0].states[0], 4), nearest);
  save(folder / "low", low);
  (void)load(folder / "low", exact);
  EXPECT_EQ(read(exact.state("w", "ema")), nearest);
  Optimizer none{SGD{}, parameters};
  EXPECT_TRUE(refused([&] { (void)load(folder / "low", none); }, {"moving average", "\"w\"", "none"}));
  save(folder / "none", none);
  EXPECT_TRUE(refused([&] { (void)load(folder / "none", low); }, {"no moving average", "\"w\"", "one"}));
}

TEST(FormatChanges, NeedTheValues) {
  const Folder folder;
  const FormatModel model(format_case("compact"), Device::cpu(), {40}),
      other(format_case("bf16_master"), Device::cpu(), {40});
  const FormatModel plain(format_case("compact"), Device::cpu(), {40});
  Optimizer optimizer{AdamW{}, model.parameters(), {.storage = format_case("compact").storage}};
  Optimizer another{AdamW{}, other.parameters(), {.storage = format_case("bf16_master").storage}};
  save(folder / "run", optimizer, {.parameters = false});
  EXPECT_TRUE(refused([&] { (void)load(folder / "run", another, {.parameters = false}); },
                      {"\"t0\"", "master remainder8", "master float32", "parameters"}));
}

TEST(FormatChanges, KeepWhatIsNotFinite) {
  const Folder folder;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const FormatCase from = format_case("float32");
  for (const FormatCase& to : formats()) {
    const FormatModel model(from, Device::cpu(), {70}), other(to, Device::cpu(), {70});
    std::vector<float> odd(70, 1.0f);
    odd[3] = kInf;
    odd[40] = -kInf;
    odd[69] = std::nanf("");
    model.value(0).write(odd);
    Optimizer optimizer{SGD{.momentum = 0.5}, model.parameters()};
    model.grad(0).write(odd);
    optimizer.step();
    model.value(0).write(odd);
    save(folder / "run", optimizer);
    Optimizer loaded{
        SGD{.momentum = 0.5}, other.parameters(), {.storage = to.low(), .float32_storage = to.wide()}};
    (void)load(folder / "run", loaded);
    const SavedParameter saved = loaded.state_dict().parameters[0];
    const std::vector<float> value = decoded_param(to, other.value(0), saved),
                             state = decoded_state(saved.states[0], 70);
    EXPECT_EQ(value[3], kInf) << to.name;
    EXPECT_EQ(value[40], -kInf) << to.name;
    EXPECT_TRUE(std::isnan(value[69])) << to.name;
    for (const std::size_t at : {3, 40, 69}) EXPECT_FALSE(std::isfinite(state[at])) << to.name;
  }
}

}  // namespace
}  // namespace onepass::test
