// streams.cpp - lists of streams: what parameters need, take, and what a step moves.
#include "c/source/convert.hpp"

namespace onepass::c {
namespace {

onepass_streams* sums(const std::vector<StreamBytes>& streams) {
  auto list = std::make_unique<onepass_streams>();
  for (const StreamBytes& one : streams) {
    list->streams.push_back({.size = sizeof(onepass_stream_info),
                             .dtype = -1,
                             .parameter = -1,
                             .name = kept_forever(one.name),
                             .numel = -1,
                             .bytes = one.bytes,
                             .alignment = 0});
  }
  return list.release();
}

onepass_streams* required(const std::vector<RequiredMemory>& memory) {
  auto list = std::make_unique<onepass_streams>();
  for (std::size_t i = 0; i < memory.size(); ++i) {
    for (const RequiredStream& one : memory[i].streams) {
      list->streams.push_back({.size = sizeof(onepass_stream_info),
                               .dtype = static_cast<std::int32_t>(one.dtype),
                               .parameter = static_cast<std::int64_t>(i),
                               .name = kept_forever(one.name),
                               .numel = one.numel,
                               .bytes = static_cast<double>(one.bytes),
                               .alignment = static_cast<std::int64_t>(one.alignment)});
    }
  }
  return list.release();
}

}  // namespace
}  // namespace onepass::c

using namespace onepass::c;  // NOLINT: every function below is one of the interface

extern "C" {

int onepass_streams_count(const onepass_streams* streams, int64_t* count) {
  return guarded([&] {
    require(streams, "streams");
    write(count, "count", static_cast<std::int64_t>(streams->streams.size()));
  });
}

int onepass_streams_at(const onepass_streams* streams, int64_t index, onepass_stream_info* info) {
  return guarded([&] {
    require(streams, "streams");
    write_struct(at(streams->streams, "a stream's index", index), info, "onepass_stream_info");
  });
}

void onepass_streams_destroy(onepass_streams* streams) { delete streams; }

int onepass_required_memory(const onepass_group* groups, int64_t group_count,
                            const onepass_parameter* parameters, int64_t parameter_count, int32_t device,
                            const onepass_options* options, onepass_streams** streams) {
  return guarded([&] {
    write_handle(streams, "streams", [&] {
      return required(onepass::Optimizer::required_memory(
          rules_of(groups, group_count), parameters_of(parameters, parameter_count, device_of(device), 0),
          options_of(options)));
    });
  });
}

int onepass_memory(const onepass_optimizer* optimizer, onepass_streams** streams) {
  return guarded(
      [&] { write_handle(streams, "streams", [&] { return sums(optimizer_of(optimizer).memory()); }); });
}

int onepass_traffic(const onepass_optimizer* optimizer, onepass_streams** streams) {
  return guarded(
      [&] { write_handle(streams, "streams", [&] { return sums(optimizer_of(optimizer).traffic()); }); });
}

}  // extern "C"
