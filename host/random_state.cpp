// random_state.cpp - allocates, advances, saves and restores the position of a RandomState.
#include "onepass/random/random_state.hpp"

#include <string>

#include "host/cuda/random.hpp"
#include "host/cuda/runtime.hpp"
#include "onepass/error.hpp"

namespace onepass {
namespace {

void check(const RandomPosition& position) {
  if (position.offset < 0 || position.offset > std::int64_t{1} << 53) {
    throw InvalidArgument("onepass: RandomState: the offset must lie in [0, 2^53], but is " +
                          std::to_string(position.offset));
  }
}

/// Allocates the memory. It asks for the device first, so that the error for a missing device names it.
DeviceBuffer allocate(Device device, const RandomPosition& position) {
  check(position);
  if (device.is_cuda()) cuda::require_device(device.index());
  return {device, sizeof(RandomPosition)};
}

}  // namespace

RandomState::RandomState(Device device, RandomPosition position) : memory_(allocate(device, position)) {
  if (device.is_cuda()) dropout_blocks_ = cuda::dropout_blocks(device.index());
  copy({device, memory_.data()}, {Device::cpu(), &position}, sizeof position);
}

void RandomState::advance(Stream stream) {
  auto* const position = memory_.as<RandomPosition>();
  if (device().is_cuda()) {
    cuda::advance(device().index(), position, stream);
  } else {
    ++position->offset;
  }
}

RandomPosition RandomState::saved(Stream stream) const {
  RandomPosition position;
  copy({Device::cpu(), &position}, {device(), memory_.data()}, sizeof position, stream);
  return position;
}

void RandomState::restore(RandomPosition position, Stream stream) {
  check(position);
  auto* const memory = memory_.as<RandomPosition>();
  if (device().is_cuda()) {
    cuda::write(device().index(), memory, position, stream);
  } else {
    *memory = position;
  }
}

}  // namespace onepass
