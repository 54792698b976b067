// work_step.cpp - see work_step.hpp.
#include "support/work/work_step.hpp"

#include <set>

#include "host/backend/rule_ops.hpp"

namespace onepass::test {
namespace {

/// float32, and one 16-bit format for each kind of master.
const std::set<std::string> kAroundFormats{"float32", "bf16", "bf16_master", "bf16_split", "compact"};

/// Returns true for formats without a master whose float32 gradients cost the same as those of bf16_grad32,
/// so that counting that format is enough.
bool costs_as_bf16_grad32(const FormatCase& format) {
  return format.grad != format.param && format.storage.master == Master::none && format.storage != Storage{};
}

std::vector<float> gradient(std::int64_t numel) {
  std::vector<float> values(static_cast<std::size_t>(numel));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(uniform(i) - 0.5);
  return values;
}

RuleCase adamw_with_l1() { return {.name = "AdamW_plain_l1", .rule = AdamW{.l1 = 0.3}}; }

/// The parameters of a model, and the copy that a step asks for.
std::vector<Parameter> with_copy(std::vector<Parameter> parameters, const WorkStep& step,
                                 const FormatBuffer& copy) {
  if (step.copy != DType::uint8) parameters[0].copy = copy.tensor();
  return parameters;
}

Options in_format(const WorkStep& step) {
  Options options = step.options;
  options.storage = step.format.low();
  options.float32_storage = step.format.wide();
  return options;
}

NamedStep named_step(const RuleCase& rule, const FormatCase& format) {
  const WorkStep step{.rule = rule, .format = format};
  return {.name = rule.name + " in " + format.name, .step = step, .kernel = kernel_of(rule, format)};
}

/// Steps of AdamW in one format, each with one feature around the update.
std::vector<NamedStep> around(const RuleCase& adamw, const FormatCase& format) {
  std::vector<NamedStep> steps;
  const auto add = [&](const std::string& feature) -> WorkStep& {
    steps.push_back(named_step(adamw, format));
    steps.back().name += feature;
    return steps.back().step;
  };
  add("").rule = adamw_with_l1();
  steps.back().name = named_step(adamw_with_l1(), format).name;
  add(" with zero_grad").handling.zero_grad = true;
  add(" with ema").options.ema = EMA{.dtype = DType::float32};
  add(" with bf16 ema").options.ema = EMA{.dtype = DType::bfloat16};
  add(" with clip_grad_norm").handling.clip_norm = ClipGradNorm{.max_norm = 1.0};
  steps.back().kernel = "reduce_gradients_kernel";
  if (format.param == DType::float32) add(" with bf16 copy").copy = DType::bfloat16;
  return steps;
}

}  // namespace

PreparedStep::PreparedStep(const WorkStep& step, Device device, std::int64_t numel)
    : model_(step.format, device, {numel}),
      copied_(device, step.copy == DType::uint8 ? DType::bfloat16 : step.copy, numel, 0),
      optimizer_(step.rule.make(with_copy(model_.parameters(), step, copied_), in_format(step))) {
  model_.grad(0).write(gradient(numel));
  optimizer_.set_gradient_handling(step.handling);
  optimizer_.step();
  // The first step may have zeroed the gradient.
  synchronize(device);
  model_.grad(0).write(gradient(numel));
  synchronize(device);
}

std::string kernel_of(const RuleCase& rule, const FormatCase& format) {
  const VariantOps& variant = rule.rule.ops().variants[rule.variant];
  const bool narrows = format.storage.states != States::float32;
  return variant.float32 != 0 && narrows ? "any_format<" : kUpdateKernel;
}

double PreparedStep::traffic() const {
  double bytes = 0;
  for (const StreamBytes& stream : optimizer_.traffic()) bytes += stream.bytes;
  return bytes / static_cast<double>(model_.value(0).tensor().numel);
}

/// Formats in which the work of rules without fused loops is counted. What the others cost besides is the
/// codecs' work, which the rules with fused loops show.
const std::set<std::string_view> kStagedFormats{"float32", "bf16_split", "compact"};

bool has_fused_loops(const RuleCase& rule) {
  const auto& loops = rule.rule.ops().variants[rule.variant].cpu_loops;
  return loops.back() != nullptr && loops.back()->fused != nullptr;
}

bool takes_sums(const RuleCase& rule) { return rule.rule.ops().takes_sums(rule.rule.bytes()); }

/// The kernel that takes the sums of a step.
NamedStep sums_of(NamedStep step) {
  step.name += ", sums";
  step.kernel = "measure<";
  return step;
}

std::vector<NamedStep> named_steps() {
  std::vector<NamedStep> steps;
  for (const RuleCase& rule : one_case_per_kernel()) {
    for (const FormatCase& format : format_cases()) {
      if (costs_as_bf16_grad32(format)) continue;
      if (!has_fused_loops(rule) && !kStagedFormats.contains(format.name)) continue;
      steps.push_back(named_step(rule, format));
      if (takes_sums(rule) && format.param == DType::float32) steps.push_back(sums_of(steps.back()));
      const bool more = rule.name == "AdamW_plain_coupled" && kAroundFormats.contains(format.name);
      if (!more) continue;
      for (NamedStep& one : around(rule, format)) steps.push_back(std::move(one));
    }
  }
  return steps;
}

}  // namespace onepass::test
