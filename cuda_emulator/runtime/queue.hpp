// queue.hpp - streams, events, and the order in which their work runs: as late as possible, and the youngest
// first, so that a missing wait shows.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime/task.hpp"

namespace cuda_emulator {

struct Stream;
struct CaptureState;

/// For each stream, the last operation that is known to have happened before.
using StreamClock = std::map<std::uint32_t, std::uint64_t>;

struct Operation {
  std::uint64_t sequence = 0;  ///< Grows in the order of the host's calls.
  Stream* stream = nullptr;
  Task task;
  std::vector<std::shared_ptr<Operation>> after;  ///< Work of other streams that must come first.
  StreamClock clock;                              ///< Filled in when the operation runs.
  bool done = false;
};
using OperationPointer = std::shared_ptr<Operation>;

struct Stream {
  std::uint32_t number = 0;
  unsigned flags = 0;
  int priority = 0;
  std::deque<OperationPointer> queue;
  OperationPointer last;
  std::shared_ptr<CaptureState> capture;
};

struct Event {
  unsigned flags = 0;
  OperationPointer recorded;
  std::uint64_t time = 0;
  std::shared_ptr<CaptureState> capture;  ///< The capture in which it was recorded, if any.
  std::vector<std::size_t> capture_nodes;
};

class WorkQueue {
 public:
  /// Carries out a task. `operation` tells which work is ordered before it.
  using Execute = std::function<void(const Task&, const Operation& operation)>;

  explicit WorkQueue(Execute execute);

  Stream* create_stream(unsigned flags, int priority);
  void destroy_stream(Stream* stream);
  /// Returns the stream of a handle, including null and the two special handles. Returns null for an unknown
  /// handle.
  Stream* find(cudaStream_t handle);
  Stream* legacy() { return &legacy_; }

  OperationPointer enqueue(Stream* stream, Task task, std::vector<OperationPointer> after = {});
  void finish(const OperationPointer& operation);
  void finish(Stream* stream);
  void finish_all();
  bool is_idle(const Stream* stream) const;

  /// Returns whether the process ever created a stream. If not, all work is ordered and needs no check.
  bool has_several_streams() const { return next_number_ > 2; }
  const std::vector<std::unique_ptr<Stream>>& streams() const { return streams_; }

 private:
  void run(const OperationPointer& operation);
  void run_next(Stream* stream);

  Execute execute_;
  Stream legacy_;
  Stream per_thread_;
  std::uint32_t next_number_ = 2;
  std::uint64_t next_sequence_ = 1;
  StreamClock host_clock_;  ///< The operations that the host has waited for.
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace cuda_emulator
