// second_optimizer_test.cpp - rules without a hand-written step are verified against a second optimizer.
#include "bench/check/second_optimizer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bench/report/report.hpp"
#include "bench/subject.hpp"
#include "bench/tests/fake_machine.hpp"

namespace onepass::bench {
namespace {

const FormatChoice& format(std::string_view name) {
  return *std::ranges::find(format_choices(), name, &FormatChoice::name);
}

/// Returns the rule of the library as it is measured if it has no hand-written step.
RuleChoice without_hand_written_step(std::string_view rule) {
  return {std::string(rule), Rule::named(rule), nullptr};
}

TEST(SecondOptimizer, VerifiesEveryRuleInEveryFormat) {
  for (RuleChoice rule : rule_choices()) {
    rule.by_hand = nullptr;
    for (const FormatChoice& format : format_choices()) {
      if (!is_measured(rule, format)) continue;
      const Case measured{&rule, &format, many(3, 1001), best_isa(), 2};
      FakeMachine machine;
      Subject subject(measured);
      subject.capture(machine);
      EXPECT_EQ(subject.verify(), 3003) << measured.text();
    }
  }
}

// Windows are shards of their tensors, which must draw the random bits of the whole tensor.
TEST(SecondOptimizer, VerifiesWindowsOfALargeModel) {
  const RuleChoice rule = without_hand_written_step("AdamW");
  for (const char* const name : {"f32", "bf16_stochastic", "all_bf16_stochastic", "compact"}) {
    const Case measured{&rule, &format(name), Layout{"two", {300'001, 70}}, best_isa(), 2};
    EXPECT_GT(Subject(measured).verify(), 10'000) << name;
  }
}

TEST(SecondOptimizer, VerifiesAStepThatMeasuresTheNorm) {
  const RuleChoice rule = without_hand_written_step("AdamW");
  Case measured{&rule, &format("bf16_split"), flat(5000), best_isa(), 2};
  measured.clips = true;
  EXPECT_EQ(Subject(measured).verify(), 5000);
}

TEST(SecondOptimizer, AgreesWithTheStepByHand) {
  for (const RuleChoice& rule : rule_choices()) {
    if (rule.by_hand == nullptr) continue;
    for (const FormatChoice& format : format_choices()) {
      const Model model(flat(1001), format, Device::cpu());
      Optimizer optimizer(rule.rule, model.parameters(),
                          {.storage = format.low(), .float32_storage = format.wide(), .seed = 7});
      const auto streams = streams_of(model, format, optimizer);
      const Part window{0, 64, 1001};
      for (int t = 1; t <= 3; ++t) {
        const Bytes before = take(streams[0], window, element_bytes(format), Device::cpu());
        const ReferenceStep step{rule, format, t, 7};
        EXPECT_EQ(moved_by_second_optimizer(step, window, before), moved_by_hand(step, window, before))
            << rule.name << " " << format.name << " " << t;
        optimizer.step();
      }
    }
  }
}

/// Returns the streams of a window that a step writes.
std::vector<std::vector<std::byte>*> written_streams(Bytes& bytes) {
  std::vector<std::vector<std::byte>*> streams{&bytes.param, &bytes.remainder};
  for (std::vector<std::byte>& state : bytes.states) streams.push_back(&state);
  for (std::vector<std::byte>& scales : bytes.scales) streams.push_back(&scales);
  std::erase_if(streams, [](const auto* stream) { return stream->empty(); });
  return streams;
}

// One flipped bit in any stream, before or after the step, is a difference. The byte in the middle of each
// stream is the upper byte of an element, and its bit 6 changes the result in every format.
TEST(SecondOptimizer, FindsAChangedBitInEveryStream) {
  const RuleChoice rule = without_hand_written_step("AdamW");
  for (const char* const name : {"f32", "bf16_split", "compact"}) {
    const Model model(flat(640), format(name), Device::cpu());
    Optimizer optimizer(rule.rule, model.parameters(),
                        {.storage = format(name).low(), .float32_storage = format(name).wide(), .seed = 7});
    const auto streams = streams_of(model, format(name), optimizer);
    const Part window{0, 64, 640};
    optimizer.step();
    Bytes before = take(streams[0], window, element_bytes(format(name)), Device::cpu());
    optimizer.step();
    Bytes after = take(streams[0], window, element_bytes(format(name)), Device::cpu());
    const ReferenceStep step{rule, format(name), 2, 7};
    ASSERT_EQ(moved_by_second_optimizer(step, window, before), after) << name;
    for (Bytes* const bytes : {&before, &after}) {
      for (std::vector<std::byte>* const stream : written_streams(*bytes)) {
        std::byte& changed = (*stream)[stream->size() / 2 - 1];
        const std::byte was = changed;
        changed ^= std::byte{0x40};
        EXPECT_NE(moved_by_second_optimizer(step, window, before), after) << name;
        changed = was;
      }
    }
  }
}

TEST(SecondOptimizer, FindsACapturedStepThatStepsTwiceOrNotAtAll) {
  const RuleChoice rule = without_hand_written_step("AdamW");
  for (const int steps : {0, 2}) {
    FakeMachine machine;
    machine.steps_in_replay = steps;
    Subject subject({&rule, &format("f32"), flat(5000), best_isa(), 1});
    subject.capture(machine);
    try {
      subject.verify();
      ADD_FAILURE() << steps;
    } catch (const std::runtime_error& error) {
      const std::string what = error.what();
      EXPECT_NE(what.find("graph differs in bits from the step of a second optimizer"), std::string::npos)
          << what;
    }
  }
}

TEST(SecondOptimizer, ContestantsAreOnepassItsCapturedStepLimitAndCopy) {
  const RuleChoice rule = without_hand_written_step("AdamW");
  FakeMachine machine;
  Subject subject({&rule, &format("f32"), flat(5000), best_isa(), 1});
  subject.capture(machine);
  std::vector<std::string> names;
  for (const Contestant& one : subject.contestants(true)) names.push_back(one.name);
  EXPECT_EQ(names, (std::vector<std::string>{kOnepass, kGraph, kLimit, kCopy}));
}

TEST(SecondOptimizer, ReportsSayThatOnepassWasVerifiedAgainstItself) {
  const RuleChoice rule = without_hand_written_step("AdamW");
  const auto report = [](const RuleChoice& of) {
    Row row{Case{&of, &format("f32"), flat(5000), Isa::baseline, 1}};
    row.timings = {{kOnepass, {1, 1, 1}, 1.0, {1, 1, 1}, {1, 1, 1}}};
    return bench::Run{.rows = {row, row}};
  };
  EXPECT_NE(to_json(report(rule)).find(R"("compared_with": "the step of a second optimizer")"),
            std::string::npos);
  const std::string table = to_markdown(report(rule));
  EXPECT_NE(table.find("Rules without a hand-written step, verified against onepass itself: `AdamW`. "),
            std::string::npos)
      << table;
  const RuleChoice& by_hand = rule_choices().front();
  EXPECT_NE(to_json(report(by_hand)).find(R"("compared_with": "the step by hand")"), std::string::npos);
  EXPECT_EQ(to_markdown(report(by_hand)).find("verified against"), std::string::npos);
}

}  // namespace
}  // namespace onepass::bench
