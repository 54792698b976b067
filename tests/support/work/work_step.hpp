// work_step.hpp - steps whose work is counted, of CUDA kernels and of CPU loops alike.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/formats/format_model.hpp"
#include "support/rules.hpp"

namespace onepass::test {

/// A step of one tensor, of which all streams are aligned and all numbers finite.
struct WorkStep {
  RuleCase rule;
  FormatCase format;
  Options options = {};  ///< The storage is the format's.
  GradientHandling handling = {};
  DType copy = DType::uint8;  ///< Of Parameter::copy; uint8: none.
};

/// An optimizer that has taken its first step, which finds states that are zero.
class PreparedStep {
 public:
  PreparedStep(const WorkStep& step, Device device, std::int64_t numel);

  void step() const { optimizer_->step(); }
  /// Of Optimizer::traffic(), for each element.
  [[nodiscard]] double traffic() const;

 private:
  FormatModel model_;
  FormatBuffer copied_;
  AnyOptimizerPtr optimizer_;
};

inline const std::string kUpdateKernel = "elementwise<";

struct NamedStep {
  std::string name;  ///< "AdamW_plain_coupled in bf16_split"
  WorkStep step;
  std::string kernel = kUpdateKernel;  ///< On CUDA, the one that is meant: a part of its name.
};

/// Every kernel in every format; in some formats, of AdamW, also what a step can have besides.
std::vector<NamedStep> named_steps();

}  // namespace onepass::test
