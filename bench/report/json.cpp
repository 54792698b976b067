// json.cpp - writes the report as JSON; bench/plot reads it.
#include <nlohmann/json.hpp>

#include "bench/report/report.hpp"

namespace onepass::bench {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Spread& spread) {
  return {{"median", spread.median}, {"low", spread.low}, {"high", spread.high}};
}

Json to_json(const Timing& timing) {
  return {{"ns_per_parameter", to_json(timing.nanoseconds)},
          {"gigabytes_per_second", timing.gigabytes_per_second},
          {"over_onepass", to_json(timing.over_onepass)},
          {"host_microseconds", to_json(timing.host_microseconds)}};
}

Json to_json(const Row& row) {
  const Case& one = row.measured;
  const auto parameters = static_cast<double>(one.layout.parameters());
  Json json{{"rule", one.rule->name},
            {"format", one.format->name},
            {"layout", one.layout.name},
            {"parameters", one.layout.parameters()},
            {"tensors", one.layout.tensors.size()},
            {"device", to_string(one.device)}};
  if (!one.device.is_cuda()) {
    json["isa"] = onepass::to_string(one.isa);
    json["threads"] = one.threads;
  }
  json["clips"] = one.clips;
  json["caches"] = to_string(row.caches);
  json["bytes_per_parameter"] = row.traffic / parameters;
  json["memory_per_parameter"] = row.memory / parameters;
  json["elements_compared"] = row.compared;
  json["compared_with"] = one.rule->reference();
  json["rounds"] = row.rounds;
  json["launches"] = row.launches;
  for (const Timing& timing : row.timings) json["timings"][timing.name] = to_json(timing);
  if (row.over_partner) json["over_format"][row.partner] = to_json(*row.over_partner);
  return json;
}

}  // namespace

std::string to_json(const Run& run) {
  Json json{{"machine", run.machine}, {"compiler", run.compiler}, {"commit", run.commit},
            {"date", run.date},       {"command", run.command},   {"disturbed_samples", run.disturbed}};
  json["left_out"] = run.left_out;
  json["failed"] = run.failed;
  json["rows"] = Json::array();
  for (const Row& row : run.rows) json["rows"].push_back(to_json(row));
  return json.dump(1) + "\n";
}

}  // namespace onepass::bench
