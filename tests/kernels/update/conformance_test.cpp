// conformance_test.cpp - CUDA gives the bits of the CPU backend, which other tests compare with float64.
#include "kernels/cuda_test.hpp"
#include "kernels/pairwise.hpp"
#include "support/numbers/sizes.hpp"
#include "support/sample.hpp"

namespace onepass::test {
namespace {

class CudaConformance : public CudaTest {};

/// rule_cases() lists this many combinations of weight decay and sign for each option of a rule.
constexpr std::size_t kDecaysAndSigns = 4;

enum Factor : std::size_t {
  kOption,
  kDecayAndSign,
  kSize,
  kValueMisalignment,
  kGradMisalignment,
  kChunkSize,
  kTensors
};

/// Returns one tensor, tensors between empty ones, or several of different sizes and alignments.
std::vector<Shape> shapes_of(const std::vector<std::size_t>& row, std::int64_t numel) {
  const Shape tensor{.numel = numel,
                     .value_misalignment = static_cast<int>(row[kValueMisalignment]),
                     .grad_misalignment = static_cast<int>(row[kGradMisalignment])};
  const Shape empty{.numel = 0};
  Shape turned = tensor;
  std::swap(turned.value_misalignment, turned.grad_misalignment);
  switch (row[kTensors]) {
    case 0:
      return {tensor};
    case 1:
      return {empty, tensor, empty, turned, empty};
    default:
      return {tensor, {.numel = 1}, empty, {.numel = 17, .value_misalignment = 1}, turned, {.numel = 65}};
  }
}

void expect_same_bits_as_cpu(const RuleCase& rule, const std::vector<Shape>& shapes, const Options& options) {
  constexpr int kSteps = 3;
  Model model(shapes, kGpu);
  Optimizer optimizer = rule.make(model.parameters(), options);
  train(model, optimizer, kSteps);
  EXPECT_TRUE(equal_bits(on_cpu(rule, shapes, kSteps), snapshot(model.parameters(), optimizer)));
  EXPECT_TRUE(model.intact());
}

// The factors are option, decay and sign, size, misalignment of value and of gradient, chunk size, and
// tensors.
TEST_F(CudaConformance, EveryPairOfFactorsGivesTheBitsOfTheCpu) {
  const std::vector<RuleCase> rules = rule_cases();
  const std::vector<std::int64_t> chunk_sizes{64, 128, 0};
  const std::size_t sizes = awkward_sizes(64).size();
  Sample sample;
  for (const std::vector<std::size_t>& row :
       covering_rows({rules.size() / kDecaysAndSigns, kDecaysAndSigns, sizes, kMisalignments, kMisalignments,
                      chunk_sizes.size(), 3})) {
    if (!sample.takes_next()) continue;
    const RuleCase& rule = rules[row[kOption] * kDecaysAndSigns + row[kDecayAndSign]];
    const std::int64_t chunk_size = chunk_sizes[row[kChunkSize]];
    const std::int64_t numel = awkward_sizes(chunk_size == 0 ? 64 : chunk_size)[row[kSize]];
    SCOPED_TRACE(rule.name + ", " + std::to_string(numel) + " elements, value misaligned by " +
                 std::to_string(row[kValueMisalignment]) + ", gradient by " +
                 std::to_string(row[kGradMisalignment]) + ", chunk size " + std::to_string(chunk_size));
    expect_same_bits_as_cpu(rule, shapes_of(row, numel), {.chunk_size = chunk_size});
    if (HasFailure()) return;
  }
}

TEST_F(CudaConformance, EveryKernelIsLaunched) {
  std::size_t kernels = 0;
  std::set<std::string> rules;
  for (const RuleCase& one : rule_cases()) {
    if (rules.insert(std::string(one.rule.name())).second) kernels += one.variants;
  }
  const std::vector<RuleCase> cases = one_case_per_kernel();
  ASSERT_EQ(cases.size(), kernels) << "a variant stands in no table of options";
  for (const RuleCase& rule : cases) {
    SCOPED_TRACE(rule.name);
    expect_same_bits_as_cpu(rule, {{.numel = 200}, {.numel = 70, .value_misalignment = 1}}, {});
  }
}

// Uses the chunk size that the library chooses for the device, and a tensor that fills several chunks.
TEST_F(CudaConformance, SeveralChunksOfTheDefaultSizeGiveTheBitsOfTheCpu) {
  for (const RuleCase& rule : rule_cases()) {
    if (rule.name != "SGD_momentum_coupled" && rule.name != "AdamW_amsgrad_decoupled") continue;
    SCOPED_TRACE(rule.name);
    expect_same_bits_as_cpu(
        rule, {{.numel = 40003, .value_misalignment = 2, .grad_misalignment = 1}, {.numel = 5}}, {});
  }
}

TEST_F(CudaConformance, GroupsGiveTheBitsOfTheCpu) {
  const std::vector<RMSProp> rules{{.lr = 0.1, .weight_decay = 0.2},
                                   {.lr = 0.2, .momentum = 0.9, .epsilon = Epsilon::outside_root},
                                   {.lr = 0.03, .weight_decay = 0.1, .centered = true, .maximize = true}};
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < 9; ++i)
    shapes.push_back({.numel = 30 + static_cast<std::int64_t>(i), .group = i % 3});
  Model cpu(shapes), gpu(shapes, kGpu);
  Optimizer wanted(rules, cpu.parameters());
  Optimizer actual(rules, gpu.parameters());
  train(cpu, wanted, 4);
  train(gpu, actual, 4);
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
}

TEST_F(CudaConformance, TwoThousandTensorsGiveTheBitsOfTheCpu) {
  std::vector<Shape> shapes;
  for (int i = 0; i < 2000; ++i) shapes.push_back({.numel = i % 7, .grad_misalignment = i % 4});
  for (const RuleCase& rule : rule_cases()) {
    if (rule.name == "Adam_plain_coupled") expect_same_bits_as_cpu(rule, shapes, {});
  }
}

// Some step counts are too large for float to hold exactly. The device forms the coefficients itself.
TEST_F(CudaConformance, CoefficientsOfEveryStepEqualThoseOfTheCpu) {
  const std::vector<Shape> shapes{{.numel = 9}, {.numel = 9}, {.numel = 9}, {.numel = 9}, {.numel = 9}};
  const std::int64_t steps[] = {0, 9, 999, 20000000, std::int64_t{1} << 40};
  Model cpu(shapes), gpu(shapes, kGpu);
  Optimizer wanted(Adam{.beta1 = 0.95, .beta2 = 0.9999}, cpu.parameters());
  Optimizer actual(Adam{.beta1 = 0.95, .beta2 = 0.9999}, gpu.parameters());
  StateDict dict = wanted.state_dict();
  for (std::size_t i = 0; i < shapes.size(); ++i) dict.parameters[i].step = steps[i];
  wanted.load_state_dict(dict);
  actual.load_state_dict(dict);
  wanted.step();
  actual.step();
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
}

}  // namespace

// Tests the table of cases itself, so it needs no GPU.
TEST(Pairwise, EveryPairOfLevelsStandsInSomeRow) {
  const std::vector<std::size_t> levels{16, 4, 15, 4, 4, 3, 3};
  const auto rows = covering_rows(levels);
  for (std::size_t f = 0; f < levels.size(); ++f) {
    for (std::size_t g = f + 1; g < levels.size(); ++g) {
      std::set<std::pair<std::size_t, std::size_t>> met;
      for (const auto& row : rows) met.emplace(row[f], row[g]);
      EXPECT_EQ(met.size(), levels[f] * levels[g]) << f << ", " << g;
    }
  }
  EXPECT_LT(rows.size(), 300u);
}

}  // namespace onepass::test
