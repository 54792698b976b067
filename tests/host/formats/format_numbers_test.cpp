// format_numbers_test.cpp - in every format, all instruction sets store every kind of number as the same
// bits.
#include <gtest/gtest.h>

#include <array>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

class FormatNumbers : public testing::TestWithParam<FormatCase> {};

INSTANTIATE_TEST_SUITE_P(All, FormatNumbers, testing::ValuesIn(all_format_cases()), by_name);

constexpr std::uint32_t kUppers = 65536;

/// Every upper half of a float32, with lower halves that round down, up and not at all. NaN, Inf, denormals
/// and the largest numbers lie among the others.
std::vector<float> every_kind_of_number() {
  std::vector<float> numbers;
  for (const std::uint32_t lower : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
    for (std::uint32_t i = 0; i < kUppers; ++i) {
      numbers.push_back(storage::float_of((i * 40503u % kUppers) << 16 | lower));
    }
  }
  numbers.resize(numbers.size() - 5);  // the last block is partial
  return numbers;
}

/// Every 16-bit number, in blocks of one sign and of 16 neighbouring octaves (2 for float16), so that codes
/// of all sizes occur and few blocks have a NaN. As float32, each number lies just beyond the midpoint of two
/// bfloat16 numbers.
std::vector<float> numbers_in_blocks(DType type) {
  std::vector<float> numbers;
  for (std::uint32_t i = 0; i < kUppers; ++i) {
    const std::uint32_t octaves = i / 2048, block = i / 32 % 64, element = i % 32;
    const auto bits = static_cast<std::uint16_t>(octaves * 2048 + element * 64 + block);
    const std::uint32_t lower = type == DType::float32 ? 0x8001 : 0;
    numbers.push_back(type == DType::float16 ? storage::Float16::decode(bits)
                                             : storage::float_of(std::uint32_t{bits} << 16 | lower));
  }
  numbers.resize(numbers.size() - 5);
  return numbers;
}

/// The bytes of all streams after each step.
using BytesOfSteps = std::array<std::vector<std::byte>, 3>;

/// Takes three steps. The first stores the numbers and the second reads them; in the third, remainders meet
/// parameters that they do not belong to.
template <class Rule>
BytesOfSteps steps_of(const Rule& rule, const FormatCase& format, const std::vector<float>& numbers,
                      Isa isa) {
  const std::vector<float> zeros(numbers.size());
  const FormatModel model(format, Device::cpu(), {static_cast<std::int64_t>(numbers.size())});
  model.value(0).write(zeros);
  model.grad(0).write(numbers);
  Optimizer optimizer{rule,
                      model.parameters(),
                      {.isa = isa, .storage = format.low(), .float32_storage = format.wide(), .seed = 3}};
  optimizer.set_nonfinite(NonFinite::propagate);
  BytesOfSteps bytes;
  for (std::vector<std::byte>& of_step : bytes) {
    if (&of_step == &bytes.back()) model.value(0).write(zeros);
    optimizer.step();
    of_step = all_bytes(model, optimizer.state_dict());
  }
  return bytes;
}

template <class Rule>
void expect_alike(const Rule& rule, const FormatCase& format, const std::vector<float>& numbers) {
  const BytesOfSteps expected = steps_of(rule, format, numbers, Isa::baseline);
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
    if (!isa_available(isa)) continue;
    ASSERT_TRUE(expected == steps_of(rule, format, numbers, isa))
        << Rule::kName << " on " << to_string(isa) << ", gradients of " << to_string(format.grad);
  }
}

TEST_P(FormatNumbers, OfEveryKindGetTheSameBitsFromAllInstructionSets) {
  FormatCase format = GetParam();
  if (format.grad == DType::float32) return;  // float32 encodes nothing; the others' twins test both types
  const SGD sgd{.lr = 1.0, .momentum = 0.5, .maximize = true};
  for (const DType grad : {DType::float32, format.param}) {
    format.grad = grad;
    expect_alike(sgd, format, numbers_in_blocks(grad));
    expect_alike(Adam{.lr = 1.0, .amsgrad = true}, format, numbers_in_blocks(grad));
    if (HasFatalFailure()) return;
  }
  format.grad = DType::float32;
  expect_alike(sgd, format, every_kind_of_number());
}

}  // namespace
}  // namespace onepass::test
