#include "host/optimizer/memory/given_streams.hpp"

#include <algorithm>

#include "host/check/check_parameters.hpp"
#include "host/check/sentence.hpp"

namespace onepass {
namespace {

/// "exp_avg of "w" has 3 elements, but must have 4"
void check_kind(const Parameter& parameter, const GivenStream& given, const StreamPart& part) {
  const std::string subject = given.name + " of " + quoted(parameter.name);
  if (given.tensor.dtype != part.dtype) {
    refuse(subject + " is of " + to_string(given.tensor.dtype) + ", but must be of " + to_string(part.dtype));
  }
  if (given.tensor.numel != part.numel) {
    refuse(subject + " has " + elements(given.tensor.numel) + ", but must have " +
           std::to_string(part.numel));
  }
}

void check_counter(const Parameter& parameter, const GivenStream& given) {
  const Tensor& counter = given.tensor;
  const std::string subject = given.name + " of " + quoted(parameter.name);
  if (counter.dtype != DType::float32 && counter.dtype != DType::int64) {
    refuse(subject + " is of " + to_string(counter.dtype) + ", but a counter must be of float32 or int64");
  }
  if (counter.numel != 1) refuse(subject + " has " + elements(counter.numel) + ", but a counter has 1");
}

}  // namespace

const GivenStream* given_stream(const Parameter& parameter, std::string_view name) {
  const auto found = std::ranges::find(parameter.streams, name, &GivenStream::name);
  return found == parameter.streams.end() ? nullptr : &*found;
}

std::vector<StreamPart> parts_of(std::span<const StreamSpec> specs, const Shard& shard) {
  std::vector<StreamPart> all;
  for (const StreamSpec& spec : specs) {
    for (StreamPart& part : spec.parts(shard)) all.push_back(std::move(part));
  }
  return all;
}

void check_given(const Parameter& parameter, std::span<const StreamSpec> specs, Device device) {
  if (parameter.streams.empty()) return;
  const std::vector<StreamPart> parts = parts_of(specs, Shard::of(parameter));
  for (const GivenStream& given : parameter.streams) {
    if (given_stream(parameter, given.name) != &given) {
      refuse(quoted(parameter.name) + " is given memory for " + given.name + " twice");
    }
    const auto part = std::ranges::find(parts, given.name, &StreamPart::name);
    if (given.name == kCounter) {
      check_counter(parameter, given);
    } else if (part != parts.end()) {
      check_kind(parameter, given, *part);
    } else {
      std::vector<std::string> names;
      for (const StreamPart& one : parts) names.push_back(one.name);
      names.emplace_back(kCounter);
      refuse(quoted(parameter.name) + " is given memory for " + quoted(given.name) +
             ", which the optimizer does not keep for it; it keeps: " + listed(names));
    }
    check_memory(given.name, parameter.name, given.tensor, device);
  }
}

void check_given_alike(const Parameter& present, const Parameter& moved) {
  for (const GivenStream& given : moved.streams) {
    const GivenStream* const before = given_stream(present, given.name);
    if (before == nullptr) {
      refuse(given.name + " of " + quoted(moved.name) +
             " is the optimizer's own memory, and cannot become memory of the caller's");
    }
    if (before->tensor.dtype != given.tensor.dtype) {
      refuse(given.name + " of " + quoted(moved.name) + " is of " + to_string(given.tensor.dtype) +
             ", but was registered as " + to_string(before->tensor.dtype));
    }
  }
  for (const GivenStream& given : present.streams) {
    if (given_stream(moved, given.name) != nullptr) continue;
    refuse("set_memory was given " + quoted(moved.name) + " without memory for " + given.name +
           ", which is the caller's");
  }
}

}  // namespace onepass
