// memory_access.cpp - ld, st, cvta and related instructions.
#include "instructions/handlers.hpp"
#include "machine/access.hpp"

namespace cuda_emulator {
namespace {

Scope scope_of(const Instruction& i) { return (i.options & kBlockScope) != 0 ? Scope::block : Scope::device; }

template <Space space>
void strong(const Instruction& i, Lane& lane, std::uint64_t address, StrongAccess kind) {
  if (!i.strong || !lane.block->check_races()) return;
  if ((i.options & kRelease) != 0) lane.block->fence(lane, scope_of(i));
  lane.block->strong_access(address, space, lane, kind);
  if ((i.options & kAcquire) != 0) lane.block->fence(lane, scope_of(i));
}

template <class T, int count, Space space>
bool run_load(const Instruction& i, Lane& lane) {
  const std::uint64_t address = lane.slots[i.a] + i.offset;
  strong<space>(i, lane, address, StrongAccess::load);
  const char* from = access<sizeof(T) * count, AccessKind::read, space>(i, lane, address);
  T values[count];
  // A bad address yields the pattern of fresh memory, so that the kernel goes on in a defined way.
  if (from != nullptr) {
    std::memcpy(values, from, sizeof values);
  } else {
    std::memset(values, 0xff, sizeof values);
  }
  if constexpr (count == 1) {
    write<T>(lane, i.dst, values[0]);
  } else {
    for (int k = 0; k < count; ++k) write<T>(lane, i.items[static_cast<std::size_t>(k)], values[k]);
  }
  return true;
}

template <class T, int count, Space space>
bool run_store(const Instruction& i, Lane& lane) {
  const std::uint64_t address = lane.slots[i.a] + i.offset;
  T values[count];
  if constexpr (count == 1) {
    values[0] = read<T>(lane, i.b);
  } else {
    for (int k = 0; k < count; ++k) values[k] = read<T>(lane, i.items[static_cast<std::size_t>(k)]);
  }
  strong<space>(i, lane, address, StrongAccess::store);
  char* to = access<sizeof(T) * count, AccessKind::write, space>(i, lane, address);
  if (to != nullptr) std::memcpy(to, values, sizeof values);
  return true;
}

/// Calls `make.operator()<T, count>()` for the type and vector size. Signedness matters only to loads.
template <class Make>
Handler for_element(Type type, std::size_t count, Make make) {
  const auto sized = [&]<class T>() -> Handler {
    if (count == 1) return make.template operator()<T, 1>();
    if (count == 2) return make.template operator()<T, 2>();
    if constexpr (sizeof(T) <= 4) {
      if (count == 4) return make.template operator()<T, 4>();
    }
    return nullptr;
  };
  if (is_signed(type)) return for_integer(type, sized);
  switch (size_of(type)) {
    case 1:
      return sized.template operator()<std::uint8_t>();
    case 2:
      return sized.template operator()<std::uint16_t>();
    case 4:
      return sized.template operator()<std::uint32_t>();
    case 8:
      return sized.template operator()<std::uint64_t>();
    default:
      return nullptr;
  }
}

template <Space space>
Handler load_from(Type type, std::size_t count) {
  return for_element(type, count, []<class T, int n>() -> Handler { return run_load<T, n, space>; });
}

template <Space space>
Handler store_to(Type type, std::size_t count) {
  return for_element(type, count, []<class T, int n>() -> Handler { return run_store<T, n, space>; });
}

Handler load(Space space, Type type, std::size_t count) {
  switch (space) {
    case Space::shared:
      return load_from<Space::shared>(type, count);
    case Space::local:
      return load_from<Space::local>(type, count);
    case Space::param:
      return load_from<Space::param>(type, count);
    case Space::generic:
      return load_from<Space::generic>(type, count);
    default:
      return load_from<Space::global>(type, count);
  }
}

Handler store(Space space, Type type, std::size_t count) {
  switch (space) {
    case Space::shared:
      return store_to<Space::shared>(type, count);
    case Space::local:
      return store_to<Space::local>(type, count);
    case Space::param:
      return store_to<Space::param>(type, count);
    case Space::generic:
      return store_to<Space::generic>(type, count);
    case Space::global:
      return store_to<Space::global>(type, count);
    default:
      return nullptr;
  }
}

void take_ordering(Modifiers& modifiers, Instruction& out) {
  if (modifiers.take("volatile") || modifiers.take("relaxed")) out.strong = true;
  if (modifiers.take("acquire")) {
    out.strong = true;
    out.options |= kAcquire;
  }
  if (modifiers.take("release")) {
    out.strong = true;
    out.options |= kRelease;
  }
  modifiers.drop({"weak", "gpu", "sys", "cluster"});
  if (modifiers.take("cta")) out.options |= kBlockScope;
}

Handler select_load_or_store(Selection& selection, bool is_load) {
  Modifiers& modifiers = selection.modifiers;
  take_ordering(modifiers, selection.out);
  const Space space = modifiers.take_space();
  modifiers.drop({"nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt"});
  modifiers.drop_starting_with("L1::");
  modifiers.drop_starting_with("L2::");
  const int vector = modifiers.take_one({"v2", "v4"});
  selection.vector_size = vector < 0 ? 0 : vector == 0 ? 2 : 4;
  const std::size_t count = vector < 0 ? 1 : selection.vector_size;
  const Type type = modifiers.take_type();
  selection.layout = is_load ? Layout::load : Layout::store;
  selection.out.counted = {is_load ? Counted::Kind::load : Counted::Kind::store, space,
                           static_cast<std::uint8_t>(size_of(type) * static_cast<int>(count))};
  return is_load ? load(space, type, count) : store(space, type, count);
}

template <std::uint64_t window, bool to_generic>
bool run_convert_address(const Instruction& i, Lane& lane) {
  lane.slots[i.dst] = to_generic ? lane.slots[i.a] + window : lane.slots[i.a] - window;
  return true;
}

Handler select_convert_address(Selection& selection) {
  const bool to_space = selection.modifiers.take("to");
  const Space space = selection.modifiers.take_space();
  selection.modifiers.take_type();
  if (space == Space::shared) {
    return to_space ? run_convert_address<kSharedWindow, false> : run_convert_address<kSharedWindow, true>;
  }
  if (space == Space::local) {
    return to_space ? run_convert_address<kLocalWindow, false> : run_convert_address<kLocalWindow, true>;
  }
  return move_handler();  // Global, constant and parameter addresses are already generic.
}

template <Space space>
bool run_is_space(const Instruction& i, Lane& lane) {
  const std::uint64_t address = lane.slots[i.a];
  bool answer = address < kSharedWindow;
  if (space == Space::shared) answer = address >= kSharedWindow && address < kLocalWindow;
  if (space == Space::local) answer = address >= kLocalWindow && address < kParameterWindow;
  lane.slots[i.dst] = answer;
  return true;
}

Handler select_is_space(Selection& selection) {
  switch (selection.modifiers.take_space()) {
    case Space::shared:
      return run_is_space<Space::shared>;
    case Space::local:
      return run_is_space<Space::local>;
    case Space::global:
      return run_is_space<Space::global>;
    default:
      return nullptr;
  }
}

bool run_nothing(const Instruction&, Lane&) { return true; }

}  // namespace

bool select_memory(Selection& selection) {
  const std::string_view opcode = selection.opcode;
  if (opcode == "ld" || opcode == "ldu") {
    selection.out.run = select_load_or_store(selection, true);
  } else if (opcode == "st") {
    selection.out.run = select_load_or_store(selection, false);
  } else if (opcode == "cvta") {
    selection.out.run = select_convert_address(selection);
  } else if (opcode == "isspacep") {
    selection.out.run = select_is_space(selection);
  } else if (opcode == "prefetch" || opcode == "prefetchu" || opcode == "discard" ||
             opcode == "applypriority") {
    selection.modifiers = Modifiers({});
    selection.layout = Layout::ignored;
    selection.out.run = run_nothing;
  } else {
    return false;
  }
  return selection.out.run != nullptr;
}

}  // namespace cuda_emulator
