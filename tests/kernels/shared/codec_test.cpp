// codec_test.cpp - the codecs give the same bits on the device as on the host.
#include <cstdint>
#include <vector>

#include "kernels/cuda_test.hpp"
#include "kernels/on_device.hpp"
#include "kernels/shared/codec_kernels.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

class CudaCodec : public CudaTest {};

std::uint32_t any_bits(std::uint64_t key) { return static_cast<std::uint32_t>(mix(key) >> 32); }

/// Returns numbers of every exponent and both signs with mantissas that round, carry or tie, and random
/// floats.
std::vector<CodecInput> inputs() {
  std::vector<CodecInput> all;
  for (std::uint32_t top = 0; top < 512; ++top) {
    for (const std::uint32_t mantissa :
         {0x000000u, 0x000001u, 0x000010u, 0x000080u, 0x001000u, 0x003000u, 0x007fffu, 0x008000u, 0x008001u,
          0x018000u, 0x400000u, 0x7f7f80u, 0x7f8000u, 0x7fefffu, 0x7ff000u, 0x7fffffu}) {
      all.push_back({top << 23 | mantissa, any_bits(all.size())});
      all.push_back({top << 23 | mantissa, 0});  // alone in its block, so that a zero has the scale 0
    }
  }
  for (std::uint64_t key = 0; key < 8000; ++key) all.push_back({any_bits(2 * key), any_bits(2 * key + 1)});
  return all;
}

TEST_F(CudaCodec, EveryCodecGivesTheBitsOfTheHost) {
  const std::vector<CodecInput> all = inputs();
  const OnDevice<CodecInput> device_inputs(all);
  const OnDevice<CodecResults> device_results(all.size());
  codecs_on_device(device_inputs.get(), device_results.get(), static_cast<int>(all.size()));
  const std::vector<CodecResults> actual = device_results.read(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const CodecResults expected = CodecResults::at(all[i]);
    for (int k = 0; k < CodecResults::kCount; ++k) {
      ASSERT_EQ(actual[i].value[k], expected.value[k])
          << "result " << k << " of " << std::hex << all[i].x << ", " << all[i].bits;
    }
  }
}

/// Returns tiles of 8 neighbours. The first ones are those of inputs(), in which a NaN spoils its whole
/// block. The others are finite and of similar magnitude, from zero up, and contain both zeros.
std::vector<CodecInput> tiles() {
  std::vector<CodecInput> all = inputs();
  for (std::uint32_t tile = 0; tile < 4000; ++tile) {
    const std::uint32_t top = any_bits(tile) % 248;
    for (std::uint32_t lane = 0; lane < 8; ++lane) {
      const std::uint32_t any = any_bits(1u << 20 | tile << 3 | lane);
      const std::uint32_t magnitude = any % 16 == 0 ? 0 : (top + any % 8) << 23 | any >> 9;
      all.push_back({magnitude | (tile % 2 == 0 ? 0 : any << 8 & 0x80000000u), any_bits(all.size())});
    }
  }
  return all;
}

TEST_F(CudaCodec, PackedCodecsEqualThoseOfSingleElements) {
  const std::vector<CodecInput> all = tiles();
  const std::size_t count = all.size() / 8;
  const OnDevice<CodecInput> device_inputs(all);
  const OnDevice<int> device_wrong(count);
  packed_on_device(device_inputs.get(), device_wrong.get(), static_cast<int>(count));
  EXPECT_EQ(device_wrong.read(count), std::vector<int>(count, 0));
}

}  // namespace
}  // namespace onepass::test
