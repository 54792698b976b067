// base.cpp - version, devices, buffers, lists of texts, and what the CPU backend has.
#include "c/source/convert.hpp"
#include "onepass/cpu.hpp"
#include "onepass/device.hpp"
#include "onepass/threads.hpp"

namespace onepass::c {
namespace {

constexpr const char* kIsas = "from 0 (best) to 4 (avx512_bf16)";

std::size_t bytes_of(std::int64_t bytes) {
  require_count(bytes, "bytes");
  return static_cast<std::size_t>(bytes);
}

}  // namespace
}  // namespace onepass::c

using namespace onepass::c;  // NOLINT: every function below is one of the interface

extern "C" {

int32_t onepass_abi(void) { return ONEPASS_ABI; }

const char* onepass_version(void) { return ONEPASS_VERSION; }

int onepass_texts_count(const onepass_texts* texts, int64_t* count) {
  return guarded([&] {
    require(texts, "texts");
    write(count, "count", static_cast<std::int64_t>(texts->texts.size()));
  });
}

int onepass_texts_at(const onepass_texts* texts, int64_t index, const char** text) {
  return guarded([&] {
    require(texts, "texts");
    require(text, "text");
    *text = at(texts->texts, "a text's index", index).c_str();
  });
}

void onepass_texts_destroy(onepass_texts* texts) { delete texts; }

int32_t onepass_cuda_device_count(void) { return onepass::cuda_device_count(); }

int onepass_device_name(int32_t device, const char** name) {
  return guarded([&] {
    require(name, "name");
    *name = kept(onepass::device_name(device_of(device)));
  });
}

int onepass_buffer_create(int32_t device, int64_t bytes, void* stream, onepass_buffer** buffer) {
  return guarded([&] {
    write_handle(buffer, "buffer", [&] {
      return new onepass_buffer{onepass::DeviceBuffer(device_of(device), bytes_of(bytes), stream_of(stream))};
    });
  });
}

void* onepass_buffer_data(const onepass_buffer* buffer) {
  return buffer == nullptr ? nullptr : buffer->buffer.data();
}

void onepass_buffer_destroy(onepass_buffer* buffer) { delete buffer; }

int onepass_copy(int32_t to_device, void* to, int32_t from_device, const void* from, int64_t bytes,
                 void* stream) {
  return guarded([&] {
    const std::size_t count = bytes_of(bytes);
    const onepass::Location target{device_of(to_device), to};
    const onepass::ConstLocation source{device_of(from_device), from};
    if (count == 0) return;
    require(to, "to");
    require(from, "from");
    onepass::copy(target, source, count, stream_of(stream));
  });
}

int onepass_fill_zero(int32_t device, void* to, int64_t bytes, void* stream) {
  return guarded([&] {
    const std::size_t count = bytes_of(bytes);
    const onepass::Location target{device_of(device), to};
    if (count == 0) return;
    require(to, "to");
    onepass::fill_zero(target, count, stream_of(stream));
  });
}

int onepass_synchronize(int32_t device, void* stream) {
  return guarded([&] { onepass::synchronize(device_of(device), stream_of(stream)); });
}

int onepass_describe_cpu(onepass_cpu* cpu) {
  return guarded([&] {
    const onepass_cpu own{.size = sizeof own,
                          .isa = static_cast<std::int32_t>(onepass::best_isa()),
                          .threads = onepass::cpu_threads(),
                          .pool = static_cast<std::int32_t>(onepass::best_pool()),
                          .cache_bytes = onepass::cpu_cache_bytes()};
    write_struct(own, cpu, "onepass_cpu");
  });
}

int onepass_isa_available(int32_t isa, int32_t* available) {
  return guarded([&] {
    require(available, "available");
    *available = onepass::isa_available(enumerator("isa", isa, onepass::Isa::avx512_bf16, kIsas)) ? 1 : 0;
  });
}

}  // extern "C"
