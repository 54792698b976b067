// symbols.cpp - the names of one function and the slots that they get.
#include <algorithm>
#include <optional>

#include "decode/decoder.hpp"
#include "decode/image.hpp"

namespace cuda_emulator {
namespace {

// Bytes between shared arrays, so that an index a little past the end of one array does not hit the next.
constexpr std::uint64_t kSharedRedzone = 64;

std::uint64_t round_up(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

std::optional<Special> special_of(std::string_view name) {
  static const std::map<std::string_view, Special> kNames{
      {"%tid.x", Special::tid_x},
      {"%tid.y", Special::tid_y},
      {"%tid.z", Special::tid_z},
      {"%ntid.x", Special::ntid_x},
      {"%ntid.y", Special::ntid_y},
      {"%ntid.z", Special::ntid_z},
      {"%ctaid.x", Special::ctaid_x},
      {"%ctaid.y", Special::ctaid_y},
      {"%ctaid.z", Special::ctaid_z},
      {"%nctaid.x", Special::nctaid_x},
      {"%nctaid.y", Special::nctaid_y},
      {"%nctaid.z", Special::nctaid_z},
      {"%laneid", Special::laneid},
      {"%warpid", Special::warpid},
      {"%nwarpid", Special::nwarpid},
      {"%smid", Special::smid},
      {"%nsmid", Special::nsmid},
      {"%gridid", Special::gridid},
      {"%lanemask_eq", Special::lanemask_eq},
      {"%lanemask_lt", Special::lanemask_lt},
      {"%lanemask_le", Special::lanemask_le},
      {"%lanemask_gt", Special::lanemask_gt},
      {"%lanemask_ge", Special::lanemask_ge},
      {"%dynamic_smem_size", Special::dynamic_smem_size},
      {"%total_smem_size", Special::total_smem_size},
  };
  const auto found = kNames.find(name);
  return found == kNames.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

void SymbolTable::add_registers(std::string_view name, int count) {
  auto& scope = scopes_.back();
  if (count == 0) scope[std::string(name)] = {Symbol::Kind::slot, new_slot()};
  for (int k = 0; k < count; ++k)
    scope[std::string(name) + std::to_string(k)] = {Symbol::Kind::slot, new_slot()};
}

void SymbolTable::add_kernel_parameters(const std::vector<Variable>& parameters) {
  std::uint64_t offset = 0;
  for (const Variable& parameter : parameters) {
    offset = round_up(offset, parameter.alignment);
    const auto bytes = static_cast<std::uint32_t>(parameter.bytes);
    scopes_.back()[std::string(parameter.name)] = {Symbol::Kind::address, kParameterWindow + offset, bytes};
    program_.parameters.push_back({static_cast<std::uint32_t>(offset), bytes});
    offset += bytes;
  }
  program_.parameter_bytes = static_cast<std::uint32_t>(offset);
}

Place SymbolTable::add_frame_variable(const Variable& variable) {
  const auto alignment = std::max<std::uint64_t>(variable.alignment, 16);
  const auto offset = static_cast<std::uint32_t>(round_up(program_.frame_bytes, alignment));
  const auto bytes = static_cast<std::uint32_t>(variable.bytes);
  scopes_.back()[std::string(variable.name)] = {Symbol::Kind::frame, offset, bytes};
  program_.frame_bytes = offset + bytes;
  return {offset, bytes};
}

void SymbolTable::add_shared(const Variable& variable) {
  if (variable.open) {
    scopes_.front()[std::string(variable.name)] = {Symbol::Kind::dynamic_shared};
    return;
  }
  const auto offset = static_cast<std::uint32_t>(
      round_up(program_.shared_bytes, std::max<std::uint64_t>(variable.alignment, 16)));
  const auto bytes = static_cast<std::uint32_t>(variable.bytes);
  scopes_.front()[std::string(variable.name)] = {Symbol::Kind::address, offset, bytes};
  program_.shared_arrays.push_back({std::string(variable.name), offset, bytes});
  program_.shared_bytes = static_cast<std::uint32_t>(offset + bytes + kSharedRedzone);
  program_.shared_bytes_declared =
      static_cast<std::uint32_t>(round_up(program_.shared_bytes_declared, variable.alignment) + bytes);
}

void SymbolTable::add_local(const Variable& variable) {
  const std::uint64_t offset = round_up(program_.local_bytes, variable.alignment);
  scopes_.back()[std::string(variable.name)] = {Symbol::Kind::local, offset};
  program_.local_bytes = static_cast<std::uint32_t>(round_up(offset + variable.bytes, 16));
}

Slot SymbolTable::constant(std::uint64_t bits) {
  const auto [place, added] = constants_.try_emplace(bits, 0);
  if (added) {
    place->second = new_slot();
    program_.constants.emplace_back(place->second, bits);
  }
  return place->second;
}

Slot SymbolTable::special(Special special, std::uint64_t offset) {
  const auto [place, added] = specials_.try_emplace({special, offset}, 0);
  if (added) {
    place->second = new_slot();
    program_.specials.push_back({place->second, special, offset});
  }
  return place->second;
}

const SymbolTable::Symbol* SymbolTable::find(std::string_view name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->find(name);
    if (found != scope->end()) return &found->second;
  }
  return nullptr;
}

Slot SymbolTable::slot_of(const Symbol& symbol, std::uint64_t offset) {
  switch (symbol.kind) {
    case Symbol::Kind::slot:
      return static_cast<Slot>(symbol.value);
    case Symbol::Kind::address:
      return constant(symbol.value + offset);
    case Symbol::Kind::frame:
      return constant(kFrameWindow + symbol.value + offset);
    case Symbol::Kind::dynamic_shared:
      return special(Special::dynamic_shared_address, offset);
    case Symbol::Kind::local:
      return special(Special::local_address, symbol.value + offset);
  }
  return kSinkSlot;
}

Slot SymbolTable::slot_of(std::string_view name, std::uint64_t offset) {
  if (const Symbol* symbol = find(name)) return slot_of(*symbol, offset);
  if (const auto known = special_of(name)) return special(*known, 0);
  if (const Allocation* variable = image_.variable(name)) return constant(variable->base + offset);
  if (const Variable* variable = image_.shared_variable(name)) {
    add_shared(*variable);
    return slot_of(*find(name), offset);
  }
  throw PtxError("unknown name " + std::string(name));
}

Place SymbolTable::frame_place(std::string_view name) const {
  const Symbol* symbol = find(name);
  if (symbol == nullptr || symbol->kind != Symbol::Kind::frame)
    throw PtxError("not a parameter: " + std::string(name));
  return {static_cast<std::uint32_t>(symbol->value), symbol->bytes};
}

}  // namespace cuda_emulator
