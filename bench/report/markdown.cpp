// markdown.cpp - writes the report as a Markdown table.
#include <fmt/format.h>

#include <array>

#include "bench/report/report.hpp"
#include "bench/rivals.hpp"

namespace onepass::bench {
namespace {

std::string quoted(const RuleChoice& rule) { return "`" + rule.name + "`"; }

/// Median and quartiles of a ratio, as in "0.97 (0.96-0.98)".
std::string text(const Spread& spread) {
  return fmt::format("{:.2f} ({:.2f}-{:.2f})", spread.median, spread.low, spread.high);
}

std::string ratio(const Row& row, const char* name) {
  const Timing* const timing = row.timing(name);
  return timing == nullptr ? "" : text(timing->over_onepass);
}

std::string where(const Case& one) {
  return one.device.is_cuda() ? to_string(one.device)
                              : fmt::format("{}, {}", onepass::to_string(one.isa), one.threads);
}

/// Time over onepass's and host time of a captured step, as in "0.98 (0.97-0.99), 4.1 us".
std::string graph(const Row& row) {
  const Timing* const timing = row.timing(kGraph);
  return timing == nullptr
             ? ""
             : fmt::format("{}, {:.3g} us", text(timing->over_onepass), timing->host_microseconds.median);
}

std::string line(const Row& row) {
  const Case& one = row.measured;
  const Timing& own = *row.timing(kOnepass);
  const std::string partner =
      row.over_partner ? fmt::format("{} of {}", text(*row.over_partner), row.partner) : "";
  return fmt::format(
      "| {} | {} | {} | {} | {} | {} | {:.4g} | {:.3g} | {:.3g} | {} | {} | {} | {} | {} | {:.3g} | {} | {} "
      "|\n",
      one.rule->name, one.clips ? fmt::format("{}, clipped", one.format->name) : one.format->name,
      one.layout.name, one.layout.parameters(), where(one), to_string(row.caches),
      row.traffic / static_cast<double>(one.layout.parameters()), own.nanoseconds.median,
      own.gigabytes_per_second, ratio(row, kLimit), ratio(row, kCopy), partner, ratio(row, kScalar),
      ratio(row, kUnfused), own.host_microseconds.median, row.launches, graph(row));
}

/// Says which rules were verified against onepass itself. Empty if all have a hand-written step.
std::string note_on_references(const Run& run) {
  std::string names;
  for (const Row& row : run.rows) {
    const RuleChoice& rule = *row.measured.rule;
    if (rule.by_hand != nullptr || names.find(quoted(rule)) != std::string::npos) continue;
    names.append(names.empty() ? "" : ", ").append(quoted(rule));
  }
  if (names.empty()) return "";
  return "\nRules without a hand-written step, verified against onepass itself: " + names +
         ". Each checked step had the bits of a step that a second optimizer took on copies of the "
         "memory, with the CPU's baseline instruction set and one thread.\n";
}

}  // namespace

std::string_view to_string(Caches caches) {
  constexpr std::array<std::string_view, 4> kNames{"hot", "cold", "beyond", "rested"};
  return kNames[static_cast<std::size_t>(caches)];
}

const Timing* Row::timing(const std::string& name) const {
  for (const Timing& one : timings) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

std::string to_markdown(const Run& run) {
  std::string all = fmt::format(
      "Machine: {}. Compiler: {}. Commit: {}. Date: {}.\n"
      "Command: `{}`.\n"
      "Samples disturbed by other tasks: {:.0f}%.\n\n"
      "Share of limit: the time of a loop that only moves the step's bytes, over onepass's time. Share of "
      "copy: "
      "the same for a copy of as many bytes. Scalar, unfused: their time over onepass's. Ratios are medians "
      "of "
      "ratios within a round, with quartiles. Caches: hot, as the previous step left them; cold, emptied "
      "before "
      "each sample; beyond, not emptied, for streams of more than four times the last-level cache; rested, "
      "not "
      "emptied, and the threads slept before each sample. Graph: the time of a captured step over onepass's, "
      "and "
      "its host time.\n\n",
      run.machine, run.compiler, run.commit, run.date, run.command, 100.0 * run.disturbed);
  all +=
      "| rule | format | layout | parameters | on | caches | bytes each | ns each | GB/s | share of limit | "
      "share of copy | time over another format's | scalar | unfused | host us | launches | graph |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (const Row& row : run.rows) all += line(row);
  all += note_on_references(run);
  for (const std::string& sentence : run.left_out) all += "\nLeft out: " + sentence + "\n";
  for (const std::string& sentence : run.failed) all += "\nFailed: " + sentence + "\n";
  return all;
}

}  // namespace onepass::bench
