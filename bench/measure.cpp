// measure.cpp - verifies a batch, takes its samples and forms their ratios.
#include "bench/measure.hpp"

#include <algorithm>
#include <memory>

#include "bench/subject.hpp"

namespace onepass::bench {
namespace {

/// Models up to this many parameters step so fast that a disturbance is large beside the step.
constexpr std::int64_t kSmall = 2'000'000;
constexpr int kRoundsOfSmall = 31, kRounds = 15;
/// A model larger than this many last-level caches finds next to nothing of itself there: one pass over it
/// has evicted all but its end. At this size the library also stops writing into the cache.
constexpr double kOutgrown = 4.0;

/// A subject, and the index of its first contestant's samples.
struct Entered {
  std::unique_ptr<Subject> subject;
  std::int64_t compared;
  std::size_t first;
  std::vector<std::string> names;
};

/// Scales a contestant's seconds to the number of bytes that a step of onepass moves.
std::vector<double> by_equal_bytes(const Entered& entered, const std::string& name,
                                   std::vector<double> seconds) {
  const Subject& subject = *entered.subject;
  double moved = subject.traffic();
  if (name == kLimit) moved = subject.moved();
  if (name == kCopy)
    moved = 2.0 * static_cast<double>(copied_bytes(subject.moved(), subject.measured().device));
  const double factor = subject.traffic() / moved;
  for (double& one : seconds) one *= factor;
  return seconds;
}

bool outgrows(const Machine& machine, const Subject& subject) {
  return subject.memory() > kOutgrown * machine.cache_bytes();
}

class Reporter {
 public:
  Reporter(const Machine& machine, const std::vector<Entered>& entries, const Interleaved& sampled,
           Caches found)
      : machine_(machine), entries_(entries), sampled_(sampled), found_(found) {}

  [[nodiscard]] Row row(const Entered& entered) const {
    const Subject& subject = *entered.subject;
    const Samples& own = sampled_.contestants[entered.first];
    Row row{subject.measured(), caches(subject)};
    row.traffic = subject.traffic();
    row.memory = subject.memory();
    row.compared = entered.compared;
    row.rounds = static_cast<int>(own.seconds.size());
    row.launches = machine_.launches(subject.measured().clips);
    for (std::size_t i = 0; i < entered.names.size(); ++i) row.timings.push_back(timing(entered, i));
    const std::string_view partner = subject.measured().format->partner;
    for (const Entered& other : entries_) {
      if (other.subject->measured().format->name != partner) continue;
      row.partner = std::string(partner);
      row.over_partner = paired_ratio(own.seconds, sampled_.contestants[other.first].seconds);
    }
    return row;
  }

 private:
  [[nodiscard]] Caches caches(const Subject& subject) const {
    return found_ == Caches::hot && outgrows(machine_, subject) ? Caches::beyond : found_;
  }

  static Spread scaled(const Spread& spread, double factor) {
    return {spread.median * factor, spread.low * factor, spread.high * factor};
  }

  [[nodiscard]] Timing timing(const Entered& entered, std::size_t i) const {
    const Samples& samples = sampled_.contestants[entered.first + i];
    const std::vector<double> seconds = by_equal_bytes(entered, entered.names[i], samples.seconds);
    const auto parameters = static_cast<double>(entered.subject->measured().layout.parameters());
    const Spread spread = spread_of(seconds);
    return {entered.names[i], scaled(spread, 1e9 / parameters),
            entered.subject->traffic() / spread.median / 1e9,
            paired_ratio(seconds, sampled_.contestants[entered.first].seconds),
            scaled(spread_of(samples.host_seconds), 1e6)};
  }

  const Machine& machine_;
  const std::vector<Entered>& entries_;
  const Interleaved& sampled_;
  Caches found_;
};

SamplingRules sampling(const BenchOptions& options, const Case& one, Caches found) {
  const bool small = one.layout.parameters() <= kSmall;
  return {.rounds = options.rounds > 0 ? options.rounds
                    : small            ? kRoundsOfSmall
                                       : kRounds,
          .seconds = options.seconds,
          .patience = options.patience,
          .best_of = small ? options.best_of : 1,
          .cold = found == Caches::cold,
          .threads = one.threads,
          .rest = options.rest,
          .burst = options.burst};
}

/// Returns the state of the caches for each pass over all samples. If every model outgrows the caches, a
/// single pass is enough and nothing is emptied.
std::vector<Caches> passes(const Machine& machine, const std::vector<Entered>& entries,
                           const BenchOptions& options) {
  if (options.rest > 0.0) return {Caches::rested};
  const bool outgrown = std::ranges::all_of(
      entries, [&](const Entered& entered) { return outgrows(machine, *entered.subject); });
  std::vector<Caches> found;
  if (options.hot || outgrown) found.push_back(Caches::hot);
  if (options.cold && !outgrown) found.push_back(Caches::cold);
  return found;
}

}  // namespace

Measured measure(Machine& machine, const Batch& batch, const BenchOptions& options) {
  std::vector<Entered> entries;
  std::vector<Contestant> contestants;
  for (const Batch::Entry& entry : batch.entries) {
    Entered entered{std::make_unique<Subject>(entry.measured), 0, contestants.size(), {}};
    if (options.graph && entry.reported) entered.subject->capture(machine);
    entered.compared = entered.subject->verify();
    for (Contestant& one : entered.subject->contestants(options.baselines && entry.reported)) {
      entered.names.push_back(one.name);
      contestants.push_back(std::move(one));
    }
    entries.push_back(std::move(entered));
  }
  Measured measured;
  for (const Caches found : passes(machine, entries, options)) {
    const Interleaved sampled =
        interleave(machine, contestants, sampling(options, batch.entries.front().measured, found));
    const Reporter reporter(machine, entries, sampled, found);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (batch.entries[i].reported) measured.rows.push_back(reporter.row(entries[i]));
    }
    for (const Samples& one : sampled.contestants) measured.samples += static_cast<int>(one.seconds.size());
    measured.disturbed += sampled.disturbed;
  }
  return measured;
}

}  // namespace onepass::bench
