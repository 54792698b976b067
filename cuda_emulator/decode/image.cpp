// image.cpp - a loaded module: places variables and decodes kernels.
#include "decode/image.hpp"

#include "decode/decoder.hpp"

namespace cuda_emulator {

Image::Image(std::string ptx, DeviceMemory& memory) : memory_(memory), module_(parse_module(std::move(ptx))) {
  for (const auto& [number, name] : module_->files) {
    files_.resize(std::max<std::size_t>(files_.size(), static_cast<std::size_t>(number) + 1));
    files_[static_cast<std::size_t>(number)] = name;
  }
  for (const Variable& variable : module_->variables) {
    if (variable.space != Space::shared && !variable.external) place(variable);
  }
  for (const Variable& variable : module_->variables) {
    if (variables_.contains(variable.name)) initialise(variable);
  }
}

void Image::place(const Variable& variable) {
  Allocation* allocation =
      memory_.reserve(variable.bytes, AllocationKind::variable, std::string(variable.name));
  if (allocation == nullptr) throw PtxError("no device memory for " + std::string(variable.name));
  memory_.make_live(*allocation);
  allocation->region.read_only = variable.space == Space::constant;
  allocation->region.space = Space::global;
  variables_[variable.name] = allocation;
}

void Image::initialise(const Variable& variable) {
  // Variables without an initialiser start as zero, as in C++.
  Region& region = variables_[variable.name]->region;
  std::memset(region.bytes, 0, region.size);
  std::memset(region.state, kWritten, region.size);
  const auto element = static_cast<std::uint64_t>(size_of(variable.type));
  std::uint64_t offset = 0;
  for (const Variable::Initializer& value : variable.initializers) {
    std::uint64_t bits = value.bits;
    if (!value.symbol.empty()) {
      const auto symbol = variables_.find(value.symbol);
      if (symbol == variables_.end()) throw PtxError("unknown symbol " + std::string(value.symbol));
      bits += symbol->second->base;
    }
    if (offset + element > region.size)
      throw PtxError("too many initialisers for " + std::string(variable.name));
    std::memcpy(region.bytes + offset, &bits, element);
    offset += element;
  }
}

const Program& Image::program(std::string_view name) {
  const auto function = module_->functions.find(name);
  if (function == module_->functions.end())
    throw PtxError("no function " + std::string(name) + " in the PTX");
  std::unique_ptr<Program>& program = programs_[function->first];
  if (program == nullptr) {
    // The entry is added before it is filled in, so that a recursive function finds itself.
    program = std::make_unique<Program>();
    program->files = &files_;
    try {
      decode(*module_, function->second, *this, *program);
    } catch (...) {
      programs_.erase(function->first);
      throw;
    }
  }
  return *program;
}

Allocation* Image::variable(std::string_view name) {
  const auto found = variables_.find(name);
  return found == variables_.end() ? nullptr : found->second;
}

const Variable* Image::shared_variable(std::string_view name) const {
  for (const Variable& variable : module_->variables) {
    if (variable.space == Space::shared && variable.name == name) return &variable;
  }
  return nullptr;
}

}  // namespace cuda_emulator
