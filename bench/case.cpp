// case.cpp - the text and the memory of a case.
#include "bench/case.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/data/model.hpp"

namespace onepass::bench {

std::string Case::text() const {
  const std::string where = device.is_cuda() ? to_string(device)
                                             : fmt::format("{}, {} thread{}", onepass::to_string(isa),
                                                           threads, threads == 1 ? "" : "s");
  return fmt::format("{} {} {} of {}, {}{}", rule->name, format->name, layout.name, layout.parameters(),
                     where, clips ? ", clipped" : "");
}

double Case::memory() const {
  const ElementBytes bytes = element_bytes(*format);
  const double stored = bytes.param + bytes.remainder + bytes.grad + rule->states() * (bytes.state + 0.1);
  const double scratch = has_baselines() ? 4.0 : 0.0;  // for the unfused step
  const auto parameters = static_cast<double>(layout.parameters());
  return parameters * (stored + scratch) +
         2.0 * static_cast<double>(copied_bytes(2.0 * parameters * stored, device));
}

std::size_t copied_bytes(double traffic, Device device) {
  const double half = std::min(traffic / 2, device.is_cuda() ? 0x1p31 : 0x1p28);
  return std::max<std::size_t>(static_cast<std::size_t>(half) / 64, 1) * 64;
}

}  // namespace onepass::bench
