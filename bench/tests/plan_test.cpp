// plan_test.cpp - each case is reported once, in a batch with the format that it is compared with.
#include "bench/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <stdexcept>

namespace onepass::bench {
namespace {

BenchOptions all_of(double memory) {
  BenchOptions options;
  for (const RuleChoice& rule : rule_choices()) options.rules.push_back(&rule);
  for (const FormatChoice& format : format_choices()) options.formats.push_back(&format);
  options.layouts = {"flat", "10x20"};
  options.sizes = {1000, 100'000'000};
  options.threads = {1, 2};
  options.isas = {Isa::baseline};
  options.memory = memory;
  return options;
}

double memory_of(const Batch& batch) {
  double bytes = 0.0;
  for (const Batch::Entry& entry : batch.entries) bytes += entry.measured.memory();
  return bytes;
}

/// Number of pairs of a rule and a format that are measured.
std::size_t measured_pairs() {
  std::size_t pairs = 0;
  for (const RuleChoice& rule : rule_choices()) {
    for (const FormatChoice& format : format_choices()) pairs += is_measured(rule, format) ? 1 : 0;
  }
  return pairs;
}

void expect_partners(const Batch& batch) {
  for (const Batch::Entry& entry : batch.entries) {
    const auto is_partner = [&](const Batch::Entry& other) {
      return other.measured.format->name == entry.measured.format->partner;
    };
    const bool needed = entry.reported && !entry.measured.format->partner.empty();
    EXPECT_TRUE(!needed || std::ranges::any_of(batch.entries, is_partner)) << entry.measured.text();
  }
}

TEST(Plan, ReportsEachCaseOnceWithItsPartnerBesideIt) {
  const Plan plan = make_plan(all_of(9e9));
  std::map<std::string, int> reported;
  for (const Batch& batch : plan.batches) {
    EXPECT_LE(memory_of(batch), 9e9);
    for (const Batch::Entry& entry : batch.entries) {
      if (entry.reported) ++reported[entry.measured.text()];
    }
    expect_partners(batch);
  }
  EXPECT_EQ(reported.size(), measured_pairs() * 3 * 2);
  for (const auto& [text, times] : reported) EXPECT_EQ(times, 1) << text;
  EXPECT_TRUE(plan.left_out.empty());
}

TEST(Plan, LeavesOutCasesThatDoNotFit) {
  const Plan plan = make_plan(all_of(5e8));
  EXPECT_EQ(plan.left_out.size(), measured_pairs() * 2);
  EXPECT_NE(plan.left_out.front().find("GiB"), std::string::npos);
}

TEST(Plan, ScalesLlamaToTheMemory) {
  BenchOptions options = all_of(20e9);
  options.layouts = {"llama8b"};
  EXPECT_EQ(layouts_of(options).front().name, "llama8b_1layer");
  options.memory = 80e9;
  EXPECT_EQ(layouts_of(options).front().name, "llama8b_6layers");
  const Plan plan = make_plan(options);
  EXPECT_TRUE(plan.left_out.empty());
  for (const Batch& batch : plan.batches) expect_partners(batch);
  options.memory = 1e12;
  EXPECT_EQ(layouts_of(options).front().name, "llama8b_32layers");
}

TEST(Plan, TakesAsManyLlamaLayersAsAreAskedFor) {
  BenchOptions options = all_of(1e12);
  options.layouts = {"llama8b_1layer", "llama8b_2layers"};
  EXPECT_EQ(layouts_of(options).at(0).parameters(), kLlamaLayerParameters);
  EXPECT_EQ(layouts_of(options).at(1).parameters(), 2 * kLlamaLayerParameters);
}

// In half of 24 GiB float32 has no room, and the formats that would be compared with it are measured alone.
TEST(Plan, LeavesOutABillionParametersIfTheyDoNotFit) {
  BenchOptions options = all_of(12 * 0x1p30);
  options.layouts = {"flat"};
  options.sizes = {1'000'000'000};
  std::size_t cases = 0;
  const Plan plan = make_plan(options);
  for (const Batch& batch : plan.batches) {
    EXPECT_LE(memory_of(batch), options.memory);
    for (const Batch::Entry& entry : batch.entries) cases += entry.reported ? 1 : 0;
  }
  EXPECT_EQ(cases + plan.left_out.size(), measured_pairs() * 2);
  EXPECT_GT(cases, 0u);
  EXPECT_NE(plan.left_out.front().find("f32 flat of 1000000000"), std::string::npos) << plan.left_out.front();
  options.memory = 12e12;
  EXPECT_TRUE(make_plan(options).left_out.empty());
}

TEST(Plan, RefusesAnUnknownLayout) {
  for (const char* const name :
       {"resnet", "llama8b_0layers", "llama8b_33layers", "llama8b_2layer", "x10", "10x", "0x10", "10x20x"}) {
    BenchOptions options = all_of(1e9);
    options.layouts = {name};
    EXPECT_THROW((void)layouts_of(options), std::invalid_argument) << name;
  }
}

}  // namespace
}  // namespace onepass::bench
