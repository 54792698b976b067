// report.cpp - prints each finding once per place, and counts all of them.
#include "checker/report.hpp"

#include <cstdio>
#include <utility>

namespace cuda_emulator {

std::string_view name_of(Fault fault) {
  switch (fault) {
    case Fault::race:
      return "data race";
    case Fault::uninitialised_read:
      return "read of memory never written";
    case Fault::out_of_bounds:
      return "access out of bounds";
    case Fault::misaligned:
      return "misaligned access";
    case Fault::barrier_divergence:
      return "barrier not reached by all threads";
    case Fault::inactive_lane:
      return "warp operation with an inactive lane";
    case Fault::deadlock:
      return "deadlock";
    case Fault::host_access:
      return "host code touches device memory";
    case Fault::leak:
      return "memory not freed at exit";
    case Fault::trap:
      return "trap";
    case Fault::unsupported:
      return "not supported by the emulator";
    case Fault::invalid_use:
      return "invalid use of the runtime";
  }
  return "fault";
}

Reports& Reports::instance() {
  // Never destroyed, because the emulator still reports while the process unloads its libraries.
  static Reports* reports = new Reports;
  return *reports;
}

void Reports::add(Finding finding) {
  ++count_;
  const std::string key = std::string(name_of(finding.fault)) + finding.file + std::to_string(finding.line) +
                          (finding.line == 0 ? finding.what : "");
  if (!seen_.insert(key).second) return;
  std::fflush(stdout);
  std::fprintf(stderr, "cuda_emulator: %s\n", std::string(name_of(finding.fault)).c_str());
  if (!finding.where.empty()) std::fprintf(stderr, "  %s\n", finding.where.c_str());
  std::fprintf(stderr, "  %s\n", finding.what.c_str());
  distinct_.push_back(std::move(finding));
}

std::vector<Finding> Reports::take() {
  count_ = 0;
  seen_.clear();
  return std::exchange(distinct_, {});
}

}  // namespace cuda_emulator
