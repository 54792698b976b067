// work_step.hpp - the steps whose work the performance tests count, on CUDA and on the CPU alike.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/formats/format_model.hpp"
#include "support/rules.hpp"

namespace onepass::test {

/// A step of one tensor. All its streams are aligned and all its numbers finite.
struct WorkStep {
  RuleCase rule;
  FormatCase format;
  Options options = {};  ///< PreparedStep replaces `storage` with the format's.
  GradientHandling handling = {};
  DType copy = DType::uint8;  ///< Type of Parameter::copy; uint8 for no copy.
};

/// An optimizer that has already taken its first step, because that one finds states of zero.
class PreparedStep {
 public:
  PreparedStep(const WorkStep& step, Device device, std::int64_t numel);

  void step() { optimizer_.step(); }
  /// Bytes of Optimizer::traffic(), per element.
  [[nodiscard]] double traffic() const;

 private:
  FormatModel model_;
  FormatBuffer copied_;
  Optimizer optimizer_;
};

inline const std::string kUpdateKernel = "elementwise<";

/// Part of the name of the kernel that steps a rule in one of format_cases(). A rule with states that stay
/// float32 has none of its own where the format narrows the others.
std::string kernel_of(const RuleCase& rule, const FormatCase& format);

struct NamedStep {
  std::string name;  ///< "AdamW_plain_coupled in bf16_split"
  WorkStep step;
  std::string kernel = kUpdateKernel;  ///< Part of the name of the kernel to count on CUDA.
};

/// Steps of every kernel in every format that has costs of its own. For AdamW, in some formats, also steps
/// with L1, zeroing, an EMA, clipping by norm or a copy.
std::vector<NamedStep> named_steps();

}  // namespace onepass::test
