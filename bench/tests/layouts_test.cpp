// layouts_test.cpp - the layouts have the tensors of the models.
#include "bench/cases/layouts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace onepass::bench {
namespace {

TEST(Layouts, LayoutsHaveTheTensorsAndParametersOfTheModels) {
  EXPECT_EQ(resnet50().tensors.size(), 161u);
  EXPECT_EQ(resnet50().parameters(), 25557032);
  EXPECT_EQ(gpt2().tensors.size(), 148u);
  EXPECT_EQ(gpt2().parameters(), 124439808);
  EXPECT_EQ(llama8b(1).tensors.size(), 9u);
  EXPECT_EQ(llama8b(1).parameters(), kLlamaLayerParameters);
  // The model has 8,030,261,248 parameters with both embeddings of 128,256 words and the last norm.
  EXPECT_EQ(llama8b(kLlamaLayers).parameters(), 8030261248 - 2 * 128256ll * 4096 - 4096);
}

TEST(Layouts, FlatAndManyHaveTensorsOfTheGivenSize) {
  EXPECT_EQ(flat(10).tensors, std::vector<std::int64_t>{10});
  EXPECT_EQ(many(3, 5).tensors, (std::vector<std::int64_t>{5, 5, 5}));
  EXPECT_EQ(many(2000, 1000).name, "2000x1000");
}

TEST(Layouts, LargestTensorsHaveTheKnownSizes) {
  EXPECT_EQ(std::ranges::max(resnet50().tensors), 512 * 512 * 9);
  EXPECT_EQ(std::ranges::max(gpt2().tensors), 50257 * 768);
}

}  // namespace
}  // namespace onepass::bench
