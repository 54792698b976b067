// image.hpp - a loaded module: places its variables in device memory and decodes each kernel when first
// needed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "machine/instruction.hpp"
#include "memory/device_memory.hpp"
#include "ptx/module.hpp"

namespace cuda_emulator {

class Image {
 public:
  /// Parses the text and places its variables. Throws PtxError.
  Image(std::string ptx, DeviceMemory& memory);

  /// Returns the decoded kernel or function. Throws PtxError if the name is unknown, or if the code holds an
  /// instruction that the emulator does not know.
  const Program& program(std::string_view name);
  /// Returns a `__device__` or `__constant__` variable, or null if the name is unknown.
  Allocation* variable(std::string_view name);
  /// Returns a shared variable that is declared outside functions, or null if the name is unknown.
  const Variable* shared_variable(std::string_view name) const;

 private:
  void place(const Variable& variable);
  void initialise(const Variable& variable);

  DeviceMemory& memory_;
  std::unique_ptr<Module> module_;
  std::vector<std::string> files_;
  std::map<std::string_view, Allocation*> variables_;
  std::map<std::string_view, std::unique_ptr<Program>> programs_;
};

}  // namespace cuda_emulator
