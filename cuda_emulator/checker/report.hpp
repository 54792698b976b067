// report.hpp - findings: each is printed once per place and counted, and any finding makes the process fail.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace cuda_emulator {

enum class Fault {
  race,
  uninitialised_read,
  out_of_bounds,
  misaligned,
  barrier_divergence,
  inactive_lane,
  deadlock,
  host_access,
  leak,
  trap,
  unsupported,
  invalid_use,
};

std::string_view name_of(Fault fault);

struct Finding {
  Fault fault;
  std::string where;  ///< "kernel scale, block (3,0,0), thread (17,0,0), at scale.cu:12"; empty for the host.
  std::string what;
  std::string file;
  int line = 0;
};

/// All findings of the process. The same fault at the same source line is printed once and counted every
/// time. A test can take the findings made so far and look at them.
class Reports {
 public:
  static Reports& instance();

  void add(Finding finding);
  /// Counts a fault without describing it, after enough of its kind were described.
  void add_undescribed() { ++count_; }
  std::uint64_t count() const { return count_; }
  /// Returns the distinct findings so far and forgets them, so that they no longer make the process fail.
  std::vector<Finding> take();

 private:
  std::uint64_t count_ = 0;
  std::vector<Finding> distinct_;
  std::set<std::string> seen_;
};

}  // namespace cuda_emulator
