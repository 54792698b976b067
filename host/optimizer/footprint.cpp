// footprint.cpp - how much memory an optimizer takes, and how many bytes a step moves.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "host/optimizer/memory/given_streams.hpp"
#include "host/optimizer/optimizer.hpp"

namespace onepass {
namespace {

/// Adds up the bytes of streams by name. Keeps the names in the order in which they first come.
class Ledger {
 public:
  Ledger() = default;
  explicit Ledger(std::vector<StreamBytes> streams) : streams_(std::move(streams)) {}
  void add(const std::string& name, double bytes) {
    if (bytes == 0.0) return;
    for (StreamBytes& stream : streams_) {
      if (stream.name == name) {
        stream.bytes += bytes;
        return;
      }
    }
    streams_.push_back({name, bytes});
  }
  [[nodiscard]] std::vector<StreamBytes> take() { return std::move(streams_); }

 private:
  std::vector<StreamBytes> streams_;
};

double copied_bytes(const Parameter& parameter) {
  return parameter.copy.data == nullptr ? 0.0 : static_cast<double>(parameter.copy.bytes());
}

/// The passes that read a parameter's streams before its update: for sums over the tensor, and over rows and
/// columns. They also read the parameter if it has a part in the gradient that the rule sees.
class MeasuringPasses {
 public:
  MeasuringPasses(const Group& group, const VariantOps& variant) : param_(adds_param(group.rule)) {
    if (group.takes_sums()) streams_[0] = variant.measured;
    std::ranges::copy(variant.axis_streams, streams_.begin() + 1);
  }
  /// Returns how many of them read a stream.
  [[nodiscard]] double times(unsigned stream) const {
    return static_cast<double>(std::ranges::count_if(streams_, [&](unsigned read) {
      return (read & stream) != 0 || (read != 0 && stream == rule::kParam && param_);
    }));
  }

 private:
  static bool adds_param(const Rule& rule) {
    const bool has_l2 = rule.text("weight_decay_mode") == "coupled" && rule.get("weight_decay") != 0.0;
    const bool has_l1 = rule.text("l1_mode") == "subgradient" && rule.get("l1") != 0.0;
    return has_l2 || has_l1;
  }

  std::array<unsigned, 3> streams_{};
  bool param_;
};

}  // namespace

std::vector<StreamBytes> Optimizer::Impl::memory_of(const Roster& of) const {
  Ledger ledger;
  for (std::size_t p = 0; p < of.parameters.size(); ++p) {
    const Parameter& parameter = of.parameters[p];
    const auto count = static_cast<double>(parameter.value.numel);
    ledger.add("param", count * static_cast<double>(size_of(parameter.value.dtype)));
    if (parameter.grad.data != nullptr) {
      ledger.add("grad", count * static_cast<double>(size_of(parameter.grad.dtype)));
    }
    for (const StreamSpec& spec : specs_of(parameter, of.formats[p])) {
      ledger.add(spec.name, spec.moved_bytes(Shard::of(parameter)));
    }
    ledger.add("copy", copied_bytes(parameter));
    const StreamSpec line_sums = line_sums_of(variant_of(parameter), matrices_of(parameter));
    ledger.add(line_sums.name, line_sums.moved_bytes(Shard::of(parameter)));
    if (accumulates) ledger.add("gradient_sum", count * sizeof(float));
  }
  return ledger.take();
}

std::vector<RequiredMemory> Optimizer::required_memory(const std::vector<Rule>& rules,
                                                       const std::vector<Parameter>& parameters,
                                                       const Options& options, Collected /*tag*/) {
  const Groups groups(rules);
  const Kept kept = Kept::of(options);
  const StorageChoice storage{options.storage, options.float32_storage};
  std::vector<RequiredMemory> required;
  for (const Parameter& parameter : parameters) {
    check_kind(groups.count(), parameter);
    groups.check_matrices(parameter);
    const std::uint8_t format = format_of(parameter, storage.of(parameter));
    check_slow(kept, parameter, format);
    std::vector<StreamSpec> specs =
        streams_of(format, groups.all[parameter.group].variant_of(parameter), kept, matrices_of(parameter));
    if (options.accumulates_gradients) specs.push_back(kGradientSum);
    std::vector<StreamPart> parts = parts_of(specs, Shard::of(parameter));
    parts.push_back({std::string(kCounter), DType::int64, 1, false});
    RequiredMemory& of = required.emplace_back(RequiredMemory{parameter.name, {}});
    for (const StreamPart& part : parts) {
      of.streams.push_back({part.name, part.dtype, part.numel, part.bytes(), size_of(part.dtype)});
    }
  }
  return required;
}

std::vector<StreamBytes> Optimizer::memory() const {
  Ledger ledger(impl_->memory_of(impl_->roster));
  if (!impl_->perturb_memory.is_made()) return ledger.take();
  for (const Parameter& parameter : impl_->roster.parameters) {
    for (const StreamSpec& kept : kept_streams(parameter)) {
      ledger.add(kept.name, kept.moved_bytes(Shard::of(parameter)));
    }
  }
  return ledger.take();
}

std::vector<StreamBytes> Optimizer::traffic() const {
  Ledger ledger;
  const step::Settings& settings = impl_->settings;
  // The share of steps that move slow weights, and write the parameter once more.
  const double slow = impl_->keeps.lookahead ? 1.0 / static_cast<double>(impl_->keeps.lookahead->k) : 0.0;
  for (std::size_t p = 0; p < impl_->roster.parameters.size(); ++p) {
    const Parameter& parameter = impl_->roster.parameters[p];
    if (parameter.grad.data == nullptr && !impl_->accumulates) continue;
    const auto count = static_cast<double>(parameter.value.numel);
    const double grad =
        static_cast<double>(impl_->accumulates ? sizeof(float) : size_of(parameter.grad.dtype));
    const bool zeroes = settings.zeroes_gradients != 0 && !impl_->accumulates;
    // Beside a master in float32 the parameter is written and never read.
    const bool is_read = format_name(impl_->roster.formats[p]).master != Master::float32;
    const MeasuringPasses passes(impl_->groups.all[parameter.group], impl_->variant_of(parameter));
    ledger.add("param", (slow + (is_read ? 2.0 + passes.times(rule::kParam) : 1.0)) * count *
                            static_cast<double>(size_of(parameter.value.dtype)));
    ledger.add("grad", count * grad *
                           (1.0 + (settings.measures_gradients != 0 ? 1.0 : 0.0) + (zeroes ? 1.0 : 0.0) +
                            passes.times(rule::kGrad)));
    unsigned state = rule::kState<0>;
    for (const StreamSpec& spec : impl_->specs_of(p)) {
      if (spec.numel) continue;  // a few bytes of a whole tensor, row or column
      double times = spec.role == StreamRole::slow ? 2.0 * slow : 2.0;
      if (spec.role == StreamRole::state) times += passes.times(state), state <<= 1;
      if (spec.role == StreamRole::remainder) times += slow + passes.times(rule::kParam);
      ledger.add(spec.name, times * spec.moved_bytes(Shard::of(parameter)));
    }
    ledger.add("copy", copied_bytes(parameter));
  }
  return ledger.take();
}

}  // namespace onepass
