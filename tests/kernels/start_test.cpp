// start_test.cpp - states, masters and averages are made on the device, with the bits of the CPU.
#include "kernels/cuda_test.hpp"
#include "support/formats/first_contents.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"

namespace onepass::test {
namespace {

class CudaFirstContents : public CudaTest {};

Options options_of(const FormatCase& format, DType ema, std::int64_t chunk_size) {
  return {.chunk_size = chunk_size,
          .storage = format.low(),
          .float32_storage = format.wide(),
          .ema = EMA{.dtype = ema}};
}

TEST_F(CudaFirstContents, AreZerosAndTheParameterInEveryFormat) {
  for (const FormatCase& format : all_format_cases()) {
    for (const DType ema : {DType::float32, DType::bfloat16}) {
      SCOPED_TRACE(std::string(format.name) + ", average in " + to_string(ema));
      const FormatModel model = model_of_every_kind(format, kGpu);
      // Chunks of one turn, whole or cut, or of several.
      const Options options = options_of(format, ema, ema == DType::float32 ? 0 : 1088);
      const Optimizer optimizer{Adam{.amsgrad = true}, model.parameters(), options};
      expect_first_contents(model, optimizer.state_dict());
      if (HasFatalFailure()) return;
      EXPECT_TRUE(model.intact());
    }
  }
}

TEST_F(CudaFirstContents, OfLateParametersLeaveOldStatesAlone) {
  for (const char* const name : {"float32", "bf16_master", "compact"}) {
    const FormatCase& format = format_case(name);
    const FormatModel all = model_of_every_kind(format, kGpu);
    std::vector<Parameter> early = all.parameters();
    const std::vector<Parameter> late(early.begin() + 8, early.end());
    early.resize(8);
    Optimizer optimizer{Adam{}, early, options_of(format, DType::float32, 0)};
    all.draw_finite(1);
    optimizer.step();
    const StateDict before = optimizer.state_dict();
    optimizer.add_parameters(late);
    const StateDict after = optimizer.state_dict();
    for (std::size_t i = 0; i < early.size(); ++i) {
      EXPECT_EQ(all_bytes(all.value(i), before.parameters[i]), all_bytes(all.value(i), after.parameters[i]));
    }
    expect_first_contents(all, after, early.size());
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace onepass::test
