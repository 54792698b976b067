// absent_random.cpp - implements host/cuda/random.hpp if onepass is built without CUDA: every call throws,
// because there is no such device.
#include "host/cuda/random.hpp"
#include "host/cuda/runtime.hpp"

namespace onepass::cuda {

void fill(int index, const step::FillJob& /*job*/, Stream /*stream*/) { require_device(index); }
int dropout_blocks(int index) {
  require_device(index);
  return 0;
}
void dropout(int index, const step::DropoutJob& /*job*/, int /*blocks*/, Stream /*stream*/) {
  require_device(index);
}
void advance(int index, RandomPosition* /*state*/, Stream /*stream*/) { require_device(index); }
void write(int index, RandomPosition* /*state*/, RandomPosition /*position*/, Stream /*stream*/) {
  require_device(index);
}

}  // namespace onepass::cuda
