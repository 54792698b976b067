// given_streams.hpp - memory of the caller's for the streams of a parameter: finds it and checks it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/optimizer/memory/storage_layout.hpp"
#include "onepass/device.hpp"
#include "onepass/parameter.hpp"

namespace onepass {

/// Name of the step counter.
inline constexpr std::string_view kCounter = "step";

/// Returns the memory that the caller gives for a stream, a stream's scales or the counter; null if none.
const GivenStream* given_stream(const Parameter& parameter, std::string_view name);

/// Returns all streams and scales of a parameter, which the caller may give memory for.
std::vector<StreamPart> parts_of(std::span<const StreamSpec> specs, const Shard& shard);

/// Throws InvalidArgument, which names parameter and stream, if a name is unknown or occurs twice, or memory
/// has another type or size than the stream, is null, on another device, or not aligned to its elements.
void check_given(const Parameter& parameter, std::span<const StreamSpec> specs, Device device);

/// Throws InvalidArgument unless memory for a registered parameter has the streams of the present one.
void check_given_alike(const Parameter& present, const Parameter& moved);

}  // namespace onepass
