#include "host/optimizer/roster.hpp"

#include <utility>

namespace onepass {

void Roster::append(std::vector<Parameter> added, Enrolled enrolled) {
  const auto registration = std::make_shared<const Registration>(
      Registration{std::move(enrolled.streams.allocation), std::move(enrolled.gradient_sums.allocation),
                   std::move(enrolled.line_sums.allocation)});
  for (std::size_t i = 0; i < added.size(); ++i) {
    index_by_name.emplace(added[i].name, parameters.size());
    formats.push_back(enrolled.formats[i]);
    streams.push_back(enrolled.streams.streams[i]);
    line_sums.push_back(static_cast<double*>(enrolled.line_sums.streams[i][0].data));
    if (!enrolled.gradient_sums.streams.empty()) {
      gradient_sums.push_back(enrolled.gradient_sums.streams[i][0].data);
    }
    registrations.push_back(registration);
    parameters.push_back(std::move(added[i]));
  }
}

Roster Roster::only(std::span<const std::size_t> kept) const {
  Roster some;
  for (const std::size_t i : kept) {
    some.index_by_name.emplace(parameters[i].name, some.parameters.size());
    some.parameters.push_back(parameters[i]);
    some.formats.push_back(formats[i]);
    some.streams.push_back(streams[i]);
    some.line_sums.push_back(line_sums[i]);
    if (!gradient_sums.empty()) some.gradient_sums.push_back(gradient_sums[i]);
    some.registrations.push_back(registrations[i]);
  }
  return some;
}

std::vector<std::int64_t> Roster::numels() const {
  std::vector<std::int64_t> numels;
  for (const Parameter& parameter : parameters) numels.push_back(parameter.value.numel);
  return numels;
}

std::vector<std::span<const std::byte>> Roster::own_memory() const {
  std::vector<std::span<const std::byte>> memory;
  const Registration* last = nullptr;
  for (const std::shared_ptr<const Registration>& one : registrations) {
    if (one.get() == last) continue;
    last = one.get();
    one->append_to(memory);
  }
  return memory;
}

}  // namespace onepass
