// caches_test.cpp - hot and cold samples: when caches are emptied, and that they are empty afterwards.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "bench/machine/machine.hpp"
#include "bench/measure.hpp"
#include "bench/report/report.hpp"
#include "bench/tests/fake_machine.hpp"

namespace onepass::bench {
namespace {

/// Follows a chain of addresses through memory that fits a private cache. Other processors cannot evict the
/// hot lines, and the hardware cannot prefetch the cold ones because each address depends on the one before.
/// The shortest of many times is undisturbed.
TEST(Caches, WorkTakesLongerOnEmptiedCaches) {
  struct alignas(64) Line {
    std::size_t next;
  };
  std::vector<Line> lines(2048);
  for (std::size_t i = 0; i < lines.size(); ++i) lines[i].next = (i + 797) % lines.size();
  std::size_t at = 0;
  const auto work = [&] {
    for (std::size_t i = 0; i < lines.size(); ++i) at = lines[at].next;
  };
  const std::unique_ptr<Machine> machine = cpu_machine();
  double hot = 1.0, cold = 1.0;
  for (int i = 0; i < 15; ++i) {
    machine->warm_up(work);
    hot = std::min(hot, machine->time(work, 1).seconds);
    machine->empty_caches(2);
    cold = std::min(cold, machine->time(work, 1).seconds);
  }
  EXPECT_EQ(at, 0u);
  EXPECT_GT(cold, 2.0 * hot);
}

Batch batch_of(std::initializer_list<const char*> formats) {
  Batch batch;
  for (const FormatChoice& format : format_choices()) {
    if (std::ranges::find(formats, format.name) == formats.end()) continue;
    const Case one{&rule_choices()[0], &format, flat(1000), Isa::baseline, 2};
    batch.entries.push_back({one, true});
  }
  return batch;
}

/// Returns the reported states of the caches. "sgd" needs 8 bytes per parameter in f32 and 4 in bf16.
std::string labels(double cache, bool hot, bool cold, FakeMachine& machine) {
  machine.cache = cache;
  BenchOptions options;
  options.rounds = 1;
  options.patience = 0.0;
  options.hot = hot;
  options.cold = cold;
  std::string all;
  for (const Row& row : measure(machine, batch_of({"f32", "bf16"}), options).rows) {
    all.append(all.empty() ? "" : " ").append(to_string(row.caches));
  }
  return all;
}

TEST(Caches, RowsSayWhetherCachesWereHotColdOrOutgrown) {
  FakeMachine machine;
  EXPECT_EQ(labels(2000, true, false, machine), "hot hot");
  EXPECT_EQ(labels(1999, true, false, machine), "beyond hot");
  EXPECT_EQ(labels(999, true, false, machine), "beyond beyond");
  EXPECT_EQ(machine.emptied, 0);
  EXPECT_EQ(labels(2000, false, true, machine), "cold cold");
  EXPECT_EQ(machine.emptied, 2);
  EXPECT_EQ(labels(2000, true, true, machine), "hot hot cold cold");
}

TEST(Caches, CachesAreNotEmptiedIfEveryModelOutgrowsThem) {
  FakeMachine machine;
  EXPECT_EQ(labels(1999, true, true, machine), "beyond hot cold cold");  // only bf16 fits
  machine.log.clear();
  EXPECT_EQ(labels(999, true, true, machine), "beyond beyond");
  EXPECT_EQ(labels(999, false, true, machine), "beyond beyond");
  EXPECT_EQ(machine.log.find('e'), std::string::npos);
}

TEST(Caches, CachesAreNotEmptiedBeforeARestedSample) {
  FakeMachine machine;
  machine.cache = 1e6;
  BenchOptions options;
  options.rounds = 2;
  options.patience = 0.0;
  options.rest = 2e-4;
  options.burst = 7;
  const std::vector<Row> rows = measure(machine, batch_of({"f32"}), options).rows;
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(to_string(rows.front().caches), "rested");
  EXPECT_EQ(machine.emptied, 0);
  EXPECT_EQ(machine.asked.back().repeats, 7);
}

TEST(Caches, ReportsNameTheStateOfTheCaches) {
  FakeMachine machine;
  machine.cache = 1e6;
  BenchOptions options;
  options.rounds = 1;
  options.patience = 0.0;
  options.cold = true;
  const bench::Run run{.rows = measure(machine, batch_of({"f32"}), options).rows};
  EXPECT_NE(to_json(run).find("\"caches\": \"hot\""), std::string::npos);
  EXPECT_NE(to_json(run).find("\"caches\": \"cold\""), std::string::npos);
  const std::string table = to_markdown(run);
  EXPECT_NE(table.find("| baseline, 2 | hot |"), std::string::npos) << table;
  EXPECT_NE(table.find("| baseline, 2 | cold |"), std::string::npos) << table;
  // The head, the line below it and each row have equally many cells.
  std::vector<std::ptrdiff_t> cells;
  for (std::size_t at = table.find("| rule"); at < table.size(); at = table.find('\n', at) + 1) {
    cells.push_back(std::ranges::count(table.substr(at, table.find('\n', at) - at), '|'));
  }
  EXPECT_EQ(cells, std::vector<std::ptrdiff_t>(4, cells.front())) << table;
}

}  // namespace
}  // namespace onepass::bench
