// program.hpp - what onepass-train does once it knows what is asked for.
#pragma once

#include "options.hpp"

namespace train {

/// Trains, and writes tables and files. Throws UsageError or Failure.
void run_program(const CommandLine& options);

}  // namespace train
