// stream.cpp - calls for streams, events and synchronisation.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "runtime/device.hpp"
#include "runtime/graph.hpp"

namespace cuda_emulator {
namespace {

/// Calls `body` with the stream that the handle names.
cudaError_t with_stream(const char* call, cudaStream_t handle,
                        const std::function<cudaError_t(Device&, Stream&)>& body) {
  return guarded(call, [&] {
    Device& device = Device::instance();
    Stream* stream = device.queue.find(handle);
    return stream == nullptr ? cudaErrorInvalidResourceHandle : body(device, *stream);
  });
}

cudaError_t with_event(const char* call, cudaEvent_t handle,
                       const std::function<cudaError_t(Device&, Event&)>& body) {
  return guarded(call, [&] {
    Device& device = Device::instance();
    auto* wanted = reinterpret_cast<Event*>(handle);
    const bool known = std::any_of(device.events.begin(), device.events.end(),
                                   [&](const auto& e) { return e.get() == wanted; });
    return known ? body(device, *wanted) : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t create_stream(cudaStream_t* handle, unsigned flags, int priority) {
  *handle = reinterpret_cast<cudaStream_t>(Device::instance().queue.create_stream(flags, priority));
  return cudaSuccess;
}

/// Invalidates the stream's capture, if there is one, because the caller waits for the stream.
cudaError_t refuse_capture(Stream& stream) {
  if (stream.capture == nullptr) return cudaSuccess;
  stream.capture->invalidated = true;
  return cudaErrorStreamCaptureUnsupported;
}

cudaError_t record(Device& device, Event& event, Stream& stream) {
  if (stream.capture != nullptr) {
    event.capture = stream.capture;
    event.capture_nodes = stream.capture->tail_of(&stream);
    return cudaSuccess;
  }
  event.capture = nullptr;
  event.recorded = device.queue.enqueue(&stream, EmptyTask{});
  return cudaSuccess;
}

cudaError_t wait(Device& device, Stream& stream, Event& event) {
  if (event.capture != nullptr) return join_capture(stream, event);
  if (stream.capture != nullptr) return cudaErrorStreamCaptureIsolation;
  if (event.recorded != nullptr) device.queue.enqueue(&stream, EmptyTask{}, {event.recorded});
  return cudaSuccess;
}

}  // namespace
}  // namespace cuda_emulator

using namespace cuda_emulator;

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return guarded("cudaStreamCreate", [&] { return create_stream(stream, cudaStreamDefault, 0); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return guarded("cudaStreamCreateWithFlags", [&] { return create_stream(stream, flags, 0); });
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return guarded("cudaStreamCreateWithPriority", [&] { return create_stream(stream, flags, priority); });
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return with_stream("cudaStreamDestroy", handle, [](Device& device, Stream& stream) {
    if (&stream == device.queue.legacy()) return cudaErrorInvalidResourceHandle;
    if (stream.capture != nullptr) return refuse_capture(stream);
    device.queue.destroy_stream(&stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return with_stream("cudaStreamSynchronize", handle, [](Device& device, Stream& stream) {
    if (const cudaError_t error = refuse_capture(stream); error != cudaSuccess) return error;
    device.queue.finish(&stream);
    return device.take_async_error();
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return with_stream("cudaStreamQuery", handle, [](Device& device, Stream& stream) {
    if (const cudaError_t error = refuse_capture(stream); error != cudaSuccess) return error;
    if (device.queue.is_idle(&stream)) return device.take_async_error();
    // Answers "not ready" once. The next call of a polling caller finds the work done.
    device.queue.finish(&stream);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned) {
  return with_stream("cudaStreamWaitEvent", handle, [&](Device&, Stream& stream) {
    return with_event("cudaStreamWaitEvent", event_handle,
                      [&](Device& device, Event& event) { return wait(device, stream, event); });
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
  return with_stream("cudaStreamGetFlags", handle, [&](Device&, Stream& stream) {
    *flags = stream.flags;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int* priority) {
  return with_stream("cudaStreamGetPriority", handle, [&](Device&, Stream& stream) {
    *priority = stream.priority;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device_number) {
  return with_stream("cudaStreamGetDevice", handle, [&](Device&, Stream&) {
    *device_number = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return with_stream("cudaStreamBeginCapture", handle,
                     [&](Device& device, Stream& stream) { return begin_capture(device, stream, mode); });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return with_stream("cudaStreamEndCapture", handle, [&](Device& device, Stream& stream) {
    return end_capture(device, stream, reinterpret_cast<Graph**>(graph));
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return with_stream("cudaStreamIsCapturing", handle, [&](Device&, Stream& stream) {
    *status = cudaStreamCaptureStatusNone;
    if (stream.capture == nullptr) return cudaSuccess;
    *status =
        stream.capture->invalidated ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** dependencies, const cudaGraphEdgeData** edges,
                                     std::size_t* count) {
  if (dependencies != nullptr || edges != nullptr || count != nullptr) {
    return guarded("cudaStreamGetCaptureInfo",
                   [] { return unsupported("cudaStreamGetCaptureInfo: dependencies"); });
  }
  return with_stream("cudaStreamGetCaptureInfo", handle, [&](Device&, Stream& stream) {
    const bool active = stream.capture != nullptr;
    *status = active ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    if (active && stream.capture->invalidated) *status = cudaStreamCaptureStatusInvalidated;
    if (active && id != nullptr) *id = stream.capture->id;
    if (active && graph != nullptr) *graph = reinterpret_cast<cudaGraph_t>(stream.capture->graph.get());
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return guarded("cudaDeviceSynchronize", [] {
    Device& device = Device::instance();
    if (capture_forbids(device)) return cudaErrorStreamCaptureUnsupported;
    device.queue.finish_all();
    return device.take_async_error();
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned flags) {
  return guarded("cudaEventCreateWithFlags", [&] {
    auto& events = Device::instance().events;
    events.push_back(std::make_unique<Event>());
    events.back()->flags = flags;
    *handle = reinterpret_cast<cudaEvent_t>(events.back().get());
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* handle) {
  return cudaEventCreateWithFlags(handle, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  return with_event("cudaEventDestroy", handle, [](Device& device, Event& event) {
    std::erase_if(device.events, [&](const auto& owned) { return owned.get() == &event; });
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t handle, cudaStream_t stream_handle, unsigned) {
  return with_stream("cudaEventRecord", stream_handle, [&](Device&, Stream& stream) {
    return with_event("cudaEventRecord", handle,
                      [&](Device& device, Event& event) { return record(device, event, stream); });
  });
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) {
  return cudaEventRecordWithFlags(handle, stream, 0);
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return with_event("cudaEventSynchronize", handle, [](Device& device, Event& event) {
    if (event.capture != nullptr) return cudaErrorCapturedEvent;
    device.queue.finish(event.recorded);
    return device.take_async_error();
  });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return with_event("cudaEventQuery", handle, [](Device& device, Event& event) {
    if (event.capture != nullptr) return cudaErrorCapturedEvent;
    if (event.recorded == nullptr || event.recorded->done) return cudaSuccess;
    device.queue.finish(event.recorded);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t stop) {
  return with_event("cudaEventElapsedTime", start, [&](Device&, Event& first) {
    return with_event("cudaEventElapsedTime", stop, [&](Device& device, Event& last) {
      if (((first.flags | last.flags) & cudaEventDisableTiming) != 0) return cudaErrorInvalidResourceHandle;
      if (first.recorded == nullptr || last.recorded == nullptr) return cudaErrorInvalidResourceHandle;
      if (!first.recorded->done || !last.recorded->done) return cudaErrorNotReady;
      // Emulated time says nothing about a device, so it only has to grow.
      const std::uint64_t calls = last.recorded->sequence - first.recorded->sequence;
      *milliseconds = 0.001f * static_cast<float>(calls);
      return device.take_async_error();
    });
  });
}

}  // extern "C"
