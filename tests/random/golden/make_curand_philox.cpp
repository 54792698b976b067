// make_curand_philox.cpp - writes curand_philox.hpp: numbers of cuRAND's host generator
// CURAND_RNG_PSEUDO_PHILOX4_32_10. The program runs on the CPU and needs no driver. It is not part of the
// build. To run it:
//   g++ -std=c++20 make_curand_philox.cpp -I$CUDA/include -L$CUDA/lib64 -lcurand && ./a.out >
//   curand_philox.hpp
#include <curand.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

void require(curandStatus_t status) {
  if (status != CURAND_STATUS_SUCCESS) std::exit(1);
}

std::vector<unsigned> draw(std::uint64_t seed, std::uint64_t offset, std::size_t count) {
  curandGenerator_t generator = nullptr;
  require(curandCreateGeneratorHost(&generator, CURAND_RNG_PSEUDO_PHILOX4_32_10));
  require(curandSetPseudoRandomGeneratorSeed(generator, seed));
  require(curandSetGeneratorOffset(generator, offset));
  std::vector<unsigned> drawn(count);
  require(curandGenerate(generator, drawn.data(), count));
  require(curandDestroyGenerator(generator));
  return drawn;
}

}  // namespace

int main() {
  int version = 0;
  require(curandGetVersion(&version));
  std::printf("// curand_philox.hpp - numbers drawn by cuRAND %d, written by make_curand_philox.cpp.\n",
              version);
  std::printf("#pragma once\n\n#include <cstdint>\n\nnamespace onepass::test {\n\n");
  std::printf("/// Number `index` that the host generator gives for a seed and an offset.\n");
  std::printf("struct CurandDraw {\n  std::uint64_t seed, offset, index;\n  std::uint32_t word;\n};\n\n");
  std::printf("inline constexpr CurandDraw kCurandDraws[] = {\n");
  for (const std::uint64_t seed : {0x0000000000000000ull, 0x299f31d0a4093822ull}) {
    for (const std::uint64_t offset : {0ull, 6ull}) {
      const std::vector<unsigned> drawn = draw(seed, offset, 600'000);
      for (const std::uint64_t first : {0ull, 262'140ull, 524'287ull}) {
        for (std::uint64_t i = first; i < first + 6; ++i) {
          std::printf("    {0x%016llx, %llu, %llu, 0x%08x},\n", static_cast<unsigned long long>(seed),
                      static_cast<unsigned long long>(offset), static_cast<unsigned long long>(i), drawn[i]);
        }
      }
    }
  }
  std::printf("};\n\n}  // namespace onepass::test\n");
}
