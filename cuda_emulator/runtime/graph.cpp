// graph.cpp - graphs, and the capture of streams into a graph.
#include "runtime/graph.hpp"

#include <algorithm>

namespace cuda_emulator {
namespace {

// Captures in progress. The origin stream holds the state; this list only finds them.
std::vector<std::weak_ptr<CaptureState>>& captures() {
  static auto* all = new std::vector<std::weak_ptr<CaptureState>>;
  return *all;
}

bool spoil(const std::function<bool(const CaptureState&)>& affected) {
  bool any = false;
  for (const auto& weak : captures()) {
    const auto capture = weak.lock();
    if (capture == nullptr || capture->ended || !affected(*capture)) continue;
    capture->invalidated = true;
    any = true;
  }
  return any;
}

bool same_kind(const Task& one, const Task& other) {
  if (one.index() != other.index()) return false;
  const auto* kernel = std::get_if<KernelTask>(&one);
  return kernel == nullptr || kernel->kernel == std::get<KernelTask>(other).kernel;
}

}  // namespace

std::vector<std::size_t>& CaptureState::tail_of(Stream* stream) {
  for (auto& [known, tail] : tails) {
    if (known == stream) return tail;
  }
  return tails.emplace_back(stream, std::vector<std::size_t>{}).second;
}

cudaError_t add_captured(Stream& stream, Task task) {
  CaptureState& capture = *stream.capture;
  if (capture.invalidated) return cudaErrorStreamCaptureInvalidated;
  auto node = std::make_unique<GraphNode>();
  node->task = std::move(task);
  std::vector<std::size_t>& tail = capture.tail_of(&stream);
  node->after = tail;
  tail = {capture.graph->nodes.size()};
  capture.graph->nodes.push_back(std::move(node));
  return cudaSuccess;
}

cudaError_t begin_capture(Device& device, Stream& stream, cudaStreamCaptureMode mode) {
  if (&stream == device.queue.legacy()) return cudaErrorStreamCaptureUnsupported;
  if (stream.capture != nullptr) return cudaErrorIllegalState;
  static unsigned long long next_id = 1;
  stream.capture = std::make_shared<CaptureState>();
  stream.capture->origin = &stream;
  stream.capture->mode = mode;
  stream.capture->id = next_id++;
  captures().push_back(stream.capture);
  return cudaSuccess;
}

cudaError_t end_capture(Device& device, Stream& stream, Graph** graph) {
  *graph = nullptr;
  const auto capture = stream.capture;
  if (capture == nullptr) return cudaErrorIllegalState;
  if (capture->origin != &stream) return cudaErrorStreamCaptureUnmatched;
  // A forked stream must be joined again: another node must come after its last node.
  std::vector<bool> followed(capture->graph->nodes.size(), false);
  for (const auto& node : capture->graph->nodes) {
    for (const std::size_t before : node->after) followed[before] = true;
  }
  for (const std::size_t tail : capture->tail_of(&stream)) followed[tail] = true;
  const bool joined = std::all_of(followed.begin(), followed.end(), [](bool is) { return is; });
  for (const auto& other : device.queue.streams()) {
    if (other->capture == capture) other->capture = nullptr;
  }
  stream.capture = nullptr;
  capture->ended = true;
  if (capture->invalidated) return cudaErrorStreamCaptureInvalidated;
  if (!joined) return cudaErrorStreamCaptureUnjoined;
  *graph = capture->graph.release();
  return cudaSuccess;
}

cudaError_t join_capture(Stream& stream, Event& event) {
  if (event.capture->ended) return cudaErrorCapturedEvent;
  if (stream.capture != nullptr && stream.capture != event.capture) return cudaErrorStreamCaptureMerge;
  stream.capture = event.capture;
  std::vector<std::size_t>& tail = stream.capture->tail_of(&stream);
  for (const std::size_t node : event.capture_nodes) {
    if (std::find(tail.begin(), tail.end(), node) == tail.end()) tail.push_back(node);
  }
  return cudaSuccess;
}

bool capture_forbids(Device&) {
  return spoil([](const CaptureState& capture) { return capture.mode != cudaStreamCaptureModeRelaxed; });
}

bool capture_forbids_legacy(Device&) {
  // Only a capture of a stream that synchronises with the legacy stream forbids it.
  return spoil(
      [](const CaptureState& capture) { return (capture.origin->flags & cudaStreamNonBlocking) == 0; });
}

GraphExec* instantiate(Device& device, const Graph& graph) {
  auto* exec = new GraphExec;
  std::vector<bool> continued(graph.nodes.size(), false);
  for (const auto& node : graph.nodes) {
    exec->nodes.push_back(*node);
    // A node continues the chain of its first predecessor, unless another node already does.
    const bool follows = !node->after.empty() && !continued[node->after.front()];
    if (follows) continued[node->after.front()] = true;
    exec->chain_of_node.push_back(follows ? exec->chain_of_node[node->after.front()] : exec->chains.size());
    if (!follows) exec->chains.push_back(device.queue.create_stream(cudaStreamNonBlocking, 0));
  }
  return exec;
}

void launch_graph(Device& device, GraphExec& exec, Stream* stream) {
  const OperationPointer start = device.queue.enqueue(stream, EmptyTask{});
  std::vector<OperationPointer> operations;
  for (std::size_t k = 0; k < exec.nodes.size(); ++k) {
    std::vector<OperationPointer> after{start};
    for (const std::size_t before : exec.nodes[k].after) after.push_back(operations[before]);
    operations.push_back(
        device.queue.enqueue(exec.chains[exec.chain_of_node[k]], exec.nodes[k].task, std::move(after)));
  }
  device.queue.enqueue(stream, EmptyTask{}, std::move(operations));
}

bool update(GraphExec& exec, const Graph& graph, std::size_t& differing) {
  for (differing = 0; differing < std::min(exec.nodes.size(), graph.nodes.size()); ++differing) {
    const GraphNode& mine = exec.nodes[differing];
    const GraphNode& theirs = *graph.nodes[differing];
    if (!same_kind(mine.task, theirs.task) || mine.after != theirs.after) return false;
  }
  if (exec.nodes.size() != graph.nodes.size()) return false;
  for (std::size_t k = 0; k < exec.nodes.size(); ++k) exec.nodes[k].task = graph.nodes[k]->task;
  return true;
}

}  // namespace cuda_emulator
