// case.cpp - what a case is called, and what it takes.
#include "bench/case.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/data/model.hpp"

namespace onepass::bench {

std::string Case::text() const {
  const std::string where = device.is_cuda() ? to_string(device)
                                             : fmt::format("{}, {} thread{}", onepass::to_string(isa),
                                                           threads, threads == 1 ? "" : "s");
  return fmt::format("{} {} {} of {}, {}", rule->name, format->name, layout.name, layout.parameters(), where);
}

double Case::memory() const {
  const ElementBytes bytes = element_bytes(*format);
  const double stored = bytes.param + bytes.remainder + bytes.grad + rule->states * (bytes.state + 0.1);
  const double scratch = format->name == "f32" ? 4.0 : 0.0;  // of the unfused step
  const auto parameters = static_cast<double>(layout.parameters());
  return parameters * (stored + scratch) + 2.0 * std::min(kMostCopied, parameters * stored);
}

}  // namespace onepass::bench
