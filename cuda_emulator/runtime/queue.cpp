// queue.cpp - streams, events, and the order in which their work runs.
#include "runtime/queue.hpp"

#include <algorithm>

namespace cuda_emulator {
namespace {

void raise(StreamClock& clock, const StreamClock& other) {
  for (const auto& [stream, sequence] : other) {
    std::uint64_t& known = clock[stream];
    known = std::max(known, sequence);
  }
}

bool is_blocking(const Stream& stream) { return (stream.flags & cudaStreamNonBlocking) == 0; }

}  // namespace

WorkQueue::WorkQueue(Execute execute) : execute_(std::move(execute)) { per_thread_.number = 1; }

Stream* WorkQueue::create_stream(unsigned flags, int priority) {
  auto stream = std::make_unique<Stream>();
  stream->number = next_number_++;
  stream->flags = flags;
  stream->priority = priority;
  streams_.push_back(std::move(stream));
  return streams_.back().get();
}

void WorkQueue::destroy_stream(Stream* stream) {
  // The CUDA runtime lets queued work finish later. It is finished now, so that nothing refers to the stream
  // later.
  finish(stream);
  std::erase_if(streams_, [&](const auto& owned) { return owned.get() == stream; });
}

Stream* WorkQueue::find(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return &legacy_;
  if (handle == cudaStreamPerThread) return &per_thread_;
  auto* wanted = reinterpret_cast<Stream*>(handle);
  const bool known =
      std::any_of(streams_.begin(), streams_.end(), [&](const auto& s) { return s.get() == wanted; });
  return known ? wanted : nullptr;
}

OperationPointer WorkQueue::enqueue(Stream* stream, Task task, std::vector<OperationPointer> after) {
  auto operation = std::make_shared<Operation>();
  operation->sequence = next_sequence_++;
  operation->stream = stream;
  operation->task = std::move(task);
  operation->after = std::move(after);
  operation->clock = host_clock_;
  if (stream->last != nullptr) operation->after.push_back(stream->last);
  // The legacy default stream waits for all blocking streams, and they wait for it.
  const auto wait_for = [&](const Stream& other) {
    if (&other != stream && is_blocking(other) && other.last != nullptr)
      operation->after.push_back(other.last);
  };
  if (stream == &legacy_) {
    wait_for(per_thread_);
    for (const auto& other : streams_) wait_for(*other);
  } else if (is_blocking(*stream)) {
    wait_for(legacy_);
  }
  stream->queue.push_back(operation);
  stream->last = operation;
  return operation;
}

void WorkQueue::run(const OperationPointer& operation) {
  while (!operation->done) run_next(operation->stream);
}

void WorkQueue::run_next(Stream* stream) {
  const OperationPointer operation = stream->queue.front();
  for (const OperationPointer& before : operation->after) {
    if (!before->done) run(before);
    raise(operation->clock, before->clock);
  }
  if (operation->done) return;
  stream->queue.pop_front();
  operation->done = true;
  operation->clock[stream->number] = operation->sequence;
  execute_(operation->task, *operation);
  operation->after.clear();
  operation->task = EmptyTask{};
}

void WorkQueue::finish(const OperationPointer& operation) {
  if (operation == nullptr) return;
  run(operation);
  raise(host_clock_, operation->clock);
}

void WorkQueue::finish(Stream* stream) { finish(stream->last); }

void WorkQueue::finish_all() {
  const auto all = [&] {
    std::vector<Stream*> streams{&legacy_, &per_thread_};
    for (const auto& stream : streams_) streams.push_back(stream.get());
    return streams;
  }();
  for (;;) {
    // Runs the youngest work first, so that a program that relies only on the order of its calls fails.
    Stream* next = nullptr;
    for (Stream* stream : all) {
      if (stream->queue.empty()) continue;
      if (next == nullptr || stream->queue.front()->sequence > next->queue.front()->sequence) next = stream;
    }
    if (next == nullptr) break;
    run_next(next);
  }
  for (Stream* stream : all) finish(stream);
}

bool WorkQueue::is_idle(const Stream* stream) const { return stream->queue.empty(); }

}  // namespace cuda_emulator
