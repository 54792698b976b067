// sam_test.cpp - perturbations reach the library and move parameters to its bits.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"

namespace onepass::test {
namespace {

/// The same model twice, moved through the interface and by the library.
struct SamPair {
  Model model, expected;
  Handle optimizer = create({group_of("AdamW")}, model.tensors());
  Optimizer library{AdamW{}, expected.parameters()};

  SamPair() { model.set_gradients(1), expected.set_gradients(1); }
};

const std::vector<std::pair<onepass_sam, Sam>> kCases{
    {{.size = sizeof(onepass_sam), .rho = 0.5}, {.rho = 0.5}},
    {{.size = sizeof(onepass_sam), .adaptive = 1, .rho = 2.0, .eta = 0.01},
     {.rho = 2.0, .adaptive = true, .eta = 0.01}}};

TEST(CSam, ParametersMoveAndComeBackAsInTheLibrary) {
  for (const auto& [given, own] : kCases) {
    SamPair pair;
    const auto before = pair.model.bits();
    expect_ok(onepass_perturb(pair.optimizer.get(), &given, nullptr));
    pair.library.perturb(own);
    EXPECT_EQ(pair.model.bits(), pair.expected.bits());
    EXPECT_NE(pair.model.bits(), before);
    EXPECT_NE(refusal(onepass_perturb(pair.optimizer.get(), &given, nullptr)), "");
    expect_ok(onepass_restore(pair.optimizer.get(), nullptr));
    EXPECT_EQ(pair.model.bits(), before);
    pair.library.restore();
    expect_ok(onepass_step(pair.optimizer.get(), nullptr));
    pair.library.step();
    EXPECT_EQ(pair.model.bits(), pair.expected.bits());
  }
}

TEST(CSam, ShardsMoveAsInTheLibrary) {
  for (const auto& [given, own] : kCases) {
    SamPair pair;
    std::vector<std::int64_t> words(22, -1), expected(22, -1);
    const Tensor measure{expected.data(), DType::int64, 22};
    expect_ok(onepass_measure_perturbation(pair.optimizer.get(), &given, words.data(), 22, nullptr));
    pair.library.measure_perturbation(own, measure);
    EXPECT_EQ(words, expected);
    for (std::int64_t& word : words) word *= 2;
    for (std::int64_t& word : expected) word *= 2;
    expect_ok(onepass_perturb_measured(pair.optimizer.get(), &given, words.data(), 22, nullptr));
    pair.library.perturb_measured(own, measure);
    EXPECT_EQ(pair.model.bits(), pair.expected.bits());
    EXPECT_NE(refusal(onepass_measure_perturbation(pair.optimizer.get(), &given, words.data(), 21, nullptr)),
              "");
  }
}

TEST(CSam, BadArgumentsAreRefused) {
  SamPair pair;
  const auto refusal_of = [&](const onepass_sam* sam) {
    return refusal(onepass_perturb(pair.optimizer.get(), sam, nullptr));
  };
  EXPECT_EQ(refusal_of(nullptr), "onepass: onepass_sam is null");
  const onepass_sam flag{.size = sizeof flag, .adaptive = 2}, negative{.size = sizeof flag, .rho = -1.0};
  EXPECT_EQ(refusal_of(&flag), "onepass: adaptive is 2; it must be 0 or 1");
  EXPECT_NE(refusal_of(&negative).find("Sam.rho"), std::string::npos);
  EXPECT_NE(refusal(onepass_perturb(nullptr, &kCases[0].first, nullptr)), "");
  EXPECT_NE(refusal(onepass_restore(nullptr, nullptr)), "");
}

}  // namespace
}  // namespace onepass::test
