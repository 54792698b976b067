// transcendental.cpp - the approximate functions. The ISA only bounds their error. The emulator rounds the
// exact value, so results differ from a device's in the last bits.
#include <cmath>

#include "instructions/handlers.hpp"
#include "instructions/rounding.hpp"

namespace cuda_emulator {
namespace {

constexpr auto kExp2 = [](double x) { return std::exp2(x); };
constexpr auto kLog2 = [](double x) { return std::log2(x); };
constexpr auto kSine = [](double x) { return std::sin(x); };
constexpr auto kCosine = [](double x) { return std::cos(x); };
constexpr auto kTanh = [](double x) { return std::tanh(x); };
constexpr auto kReciprocalRoot = [](double x) { return 1.0 / std::sqrt(x); };

template <auto function>
bool run_f32(const Instruction& i, Lane& lane) {
  float x = read<float>(lane, i.a);
  if ((i.options & kFlush) != 0) x = flush(x);
  auto result = static_cast<float>(function(static_cast<double>(x)));
  if ((i.options & kFlush) != 0) result = flush(result);
  write<float>(lane, i.dst, result);
  return true;
}

// The f64 forms read only the upper 32 bits of the operand and set the lower 32 bits of the result to zero.
// They are seeds for Newton steps.
template <auto function>
bool run_f64_seed(const Instruction& i, Lane& lane) {
  constexpr std::uint64_t upper = 0xffffffff00000000;
  double x = std::bit_cast<double>(lane.slots[i.a] & upper);
  if (std::fabs(x) < std::numeric_limits<double>::min()) x = std::copysign(0.0, x);
  double result = function(x);
  if (std::fabs(result) < std::numeric_limits<double>::min()) result = std::copysign(0.0, result);
  lane.slots[i.dst] = std::bit_cast<std::uint64_t>(result) & upper;
  return true;
}

constexpr auto kReciprocal = [](double x) { return 1.0 / x; };

Handler function_of(std::string_view opcode) {
  if (opcode == "ex2") return run_f32<kExp2>;
  if (opcode == "lg2") return run_f32<kLog2>;
  if (opcode == "sin") return run_f32<kSine>;
  if (opcode == "cos") return run_f32<kCosine>;
  if (opcode == "tanh") return run_f32<kTanh>;
  if (opcode == "rsqrt") return run_f32<kReciprocalRoot>;
  return nullptr;
}

}  // namespace

bool select_transcendental(Selection& selection) {
  const bool seed = selection.opcode == "rcp" || selection.opcode == "rsqrt";
  const Handler function = function_of(selection.opcode);
  if (function == nullptr && !seed) return false;
  Modifiers modifiers = selection.modifiers;
  const bool approximate = modifiers.take("approx");
  const bool flushed = modifiers.take("ftz");
  const Type type = modifiers.take_type();
  if (type == Type::f64 && approximate && seed) {
    const bool root = selection.opcode == "rsqrt";
    selection.out.run = root ? run_f64_seed<kReciprocalRoot> : run_f64_seed<kReciprocal>;
  } else if (type == Type::f32 && approximate && function != nullptr) {
    selection.out.run = function;
    if (flushed) selection.out.options |= kFlush;
  } else {
    return false;
  }
  selection.modifiers = modifiers;
  return true;
}

}  // namespace cuda_emulator
