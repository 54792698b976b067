// absent.cpp - implements host/cuda/ if onepass is built without CUDA: there is no device.
#include <string>

#include "host/backend/backend.hpp"
#include "host/cuda/loss_scale.hpp"
#include "host/cuda/runtime.hpp"
#include "onepass/error.hpp"

namespace onepass {
namespace {

[[noreturn]] void refuse(int index) {
  throw InvalidArgument("onepass: cuda:" + std::to_string(index) +
                        " was asked for, but this onepass is built without CUDA");
}

}  // namespace

namespace cuda {

int device_count() noexcept { return 0; }
void require_device(int index) { refuse(index); }
std::string device_name(int index) { refuse(index); }
void* allocate(int index, std::size_t /*bytes*/, Stream /*stream*/) { refuse(index); }
void release(int /*index*/, void* /*memory*/, Stream /*stream*/) noexcept {}
void copy(Location to, ConstLocation from, std::size_t /*bytes*/, Stream /*stream*/) {
  refuse(to.device.is_cuda() ? to.device.index() : from.device.index());
}
void fill_zero(Location to, std::size_t /*bytes*/, Stream /*stream*/) { refuse(to.device.index()); }
void load_update_scale(int index) { refuse(index); }
void update_scale(int index, step::SharedScale* /*shared*/, Stream /*stream*/) { refuse(index); }
void synchronize(int index, Stream /*stream*/) { refuse(index); }
Device home_of(const void* /*memory*/) { return Device::cpu(); }
bool reachable_from(const void* /*memory*/, Device device) { return !device.is_cuda(); }

}  // namespace cuda

std::unique_ptr<Backend> make_cuda_backend(const BackendRequest& request) { refuse(request.device.index()); }

}  // namespace onepass
