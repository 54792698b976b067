// plan.cpp - combines the filters into cases and packs the cases into batches.
#include "bench/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace onepass::bench {
namespace {

/// Returns the most layers for which every rule fits in every format beside the format that it is compared
/// with. The largest pair is a float32 master beside float32, for the rule with the most states: 20 bytes per
/// parameter and 8.2 for each state (see Case::memory), with 0.4 to spare, plus both sides of two copies.
std::int64_t llama_layers(double memory, Device device) {
  const double copies = 4.0 * static_cast<double>(copied_bytes(1e15, device));
  int most_states = 0;
  for (const RuleChoice& rule : rule_choices()) most_states = std::max(most_states, rule.states());
  const double each = 20.4 + 8.2 * most_states;
  const double fit = (memory - copies) / (each * static_cast<double>(kLlamaLayerParameters));
  return static_cast<std::int64_t>(std::clamp(fit, 1.0, static_cast<double>(kLlamaLayers)));
}

/// Reads "llama8b" (as many layers as fit) or a name from a report like "llama8b_2layers" (two layers).
/// Returns nothing for any other name.
std::optional<Layout> read_llama(const std::string& text, const BenchOptions& options) {
  if (text == "llama8b") return llama8b(llama_layers(options.memory, options.device));
  for (std::int64_t layers = 1; layers <= kLlamaLayers; ++layers) {
    Layout layout = llama8b(layers);
    if (layout.name == text) return layout;
  }
  return std::nullopt;
}

/// "2000x1000"
Layout read_many(const std::string& text) {
  long long count = 0, each = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%lldx%lld%c", &count, &each, &rest) != 2 || count < 1 || each < 1 ||
      count > 10'000'000 || each > 1'000'000'000'000 / count) {
    throw std::invalid_argument(
        "onepass_bench: --layout: " + text +
        " is unknown; choose from flat, resnet50, gpt2, llama8b, llama8b_2layers, or give tensors x elements "
        "as in 2000x1000");
  }
  return many(count, each);
}

double memory_of(const Batch& batch) {
  double bytes = 0.0;
  for (const Batch::Entry& entry : batch.entries) bytes += entry.measured.memory();
  return bytes;
}

/// Packs the formats of one rule, model, instruction set and number of threads.
class Packer {
 public:
  Packer(const BenchOptions& options, Plan& plan) : options_(options), plan_(plan) {}

  void pack(const Case& first) {
    batch_ = {};
    for (const FormatChoice* const format : options_.formats) {
      if (!is_measured(*first.rule, *format)) continue;
      Case one = first;
      one.format = format;
      add(one);
    }
    flush();
  }

 private:
  void add(const Case& one) {
    Batch more = with_partner(one);
    if (!batch_.entries.empty() && memory_of(batch_) + memory_of(more) > options_.memory) {
      flush();
      more = with_partner(one);
    }
    if (memory_of(more) > options_.memory) more = {{{one, true}}};  // measure it alone
    if (memory_of(more) > options_.memory) {
      plan_.left_out.push_back(fmt::format("{} needs {:.1f} GiB, but only {:.1f} may be used (--memory)",
                                           one.text(), memory_of(more) / 0x1p30, options_.memory / 0x1p30));
      return;
    }
    batch_.entries.insert(batch_.entries.end(), more.entries.begin(), more.entries.end());
  }

  /// Returns the case, preceded by the case that it is compared with if the batch does not contain that yet.
  [[nodiscard]] Batch with_partner(const Case& one) const {
    const auto is_partner = [&](const FormatChoice* format) { return format->name == one.format->partner; };
    const auto partner = std::ranges::find_if(options_.formats, is_partner);
    const bool there = std::ranges::any_of(batch_.entries, is_partner,
                                           [](const Batch::Entry& entry) { return entry.measured.format; });
    Batch more;
    if (partner != options_.formats.end() && !there) {
      Case beside = one;
      beside.format = *partner;
      more.entries.push_back({beside, false});
    }
    more.entries.push_back({one, true});
    return more;
  }

  void flush() {
    if (!batch_.entries.empty()) plan_.batches.push_back(std::move(batch_));
    batch_ = {};
  }

  const BenchOptions& options_;
  Plan& plan_;
  Batch batch_;
};

}  // namespace

std::vector<Layout> layouts_of(const BenchOptions& options) {
  std::vector<Layout> layouts;
  for (const std::string& name : options.layouts) {
    if (name == "flat") {
      for (const std::int64_t size : options.sizes) layouts.push_back(flat(size));
    } else if (name == "resnet50") {
      layouts.push_back(resnet50());
    } else if (name == "gpt2") {
      layouts.push_back(gpt2());
    } else if (std::optional<Layout> llama = read_llama(name, options)) {
      layouts.push_back(std::move(*llama));
    } else {
      layouts.push_back(read_many(name));
    }
  }
  return layouts;
}

Plan make_plan(const BenchOptions& options) {
  Plan plan;
  Packer packer(options, plan);
  // Neither instruction set nor number of threads changes anything on CUDA.
  const bool cuda = options.device.is_cuda();
  const std::vector<Isa> isas = cuda ? std::vector{Isa::baseline} : options.isas;
  const std::vector<int> threads = cuda ? std::vector{1} : options.threads;
  for (const Layout& layout : layouts_of(options)) {
    for (const RuleChoice* const rule : options.rules) {
      for (const Isa isa : isas) {
        for (const int count : threads) {
          packer.pack({rule, options.formats.front(), layout, isa, count, options.device, options.clips});
        }
      }
    }
  }
  return plan;
}

}  // namespace onepass::bench
