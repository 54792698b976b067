// program.hpp - runs the trainings that the command line asks for.
#pragma once

#include "options.hpp"

namespace train {

/// Trains, prints the table and writes the files. Throws UsageError or Failure.
void run_program(const CommandLine& options);

}  // namespace train
