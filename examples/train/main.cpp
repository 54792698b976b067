// main.cpp - onepass-train: from the command line to the exit code.
#include <fmt/format.h>

#include <cstdio>

#include "errors.hpp"
#include "options.hpp"
#include "program.hpp"

namespace train {
namespace {

int run(int argc, const char* const* argv) {
  const Parsed parsed = parse_command_line(argc, argv);
  if (!parsed.text.empty()) {
    fmt::print("{}", parsed.text);
    return 0;
  }
  run_program(parsed.options);
  return 0;
}

}  // namespace
}  // namespace train

int main(int argc, char** argv) {
  try {
    return train::run(argc, argv);
  } catch (const train::UsageError& error) {
    fmt::print(stderr, "onepass-train: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "onepass-train: {}\n", error.what());
    return 1;
  }
}
