// report.hpp - writes a run as JSON for programs and as Markdown for people.
#pragma once

#include <string>

#include "bench/report/row.hpp"

namespace onepass::bench {

std::string to_json(const Run& run);
std::string to_markdown(const Run& run);

}  // namespace onepass::bench
