// graph.hpp - graphs, and the capture of streams into a graph.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/device.hpp"

namespace cuda_emulator {

struct GraphNode {
  Task task;
  std::vector<std::size_t> after;  ///< Numbers of the nodes that come first. All are lower than this node's.
};

/// The target of a cudaGraph_t. A cudaGraphNode_t points to an element of `nodes`.
struct Graph {
  std::vector<std::unique_ptr<GraphNode>> nodes;
};

struct GraphExec {
  std::vector<GraphNode> nodes;
  /// One stream for each chain of nodes, so that the queue chooses the order of the branches.
  std::vector<Stream*> chains;
  std::vector<std::size_t> chain_of_node;
};

/// Shared by all streams that take part in one capture.
struct CaptureState {
  std::unique_ptr<Graph> graph = std::make_unique<Graph>();
  Stream* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  bool invalidated = false;
  bool ended = false;  ///< Kept because events that were recorded during the capture outlive it.
  unsigned long long id = 0;
  /// The nodes that each stream's next node follows.
  std::vector<std::pair<Stream*, std::vector<std::size_t>>> tails;

  std::vector<std::size_t>& tail_of(Stream* stream);
};

cudaError_t add_captured(Stream& stream, Task task);
cudaError_t begin_capture(Device& device, Stream& stream, cudaStreamCaptureMode mode);
cudaError_t end_capture(Device& device, Stream& stream, Graph** graph);
/// Makes `stream` wait for an event that was recorded while another stream was captured.
cudaError_t join_capture(Stream& stream, Event& event);

/// Returns whether a capture that forbids the current call is in progress: any capture that is not in relaxed
/// mode. If so, it invalidates the capture, as the CUDA runtime does.
bool capture_forbids(Device& device);
/// Does the same for work on the legacy default stream, which no mode of capture allows.
bool capture_forbids_legacy(Device& device);

GraphExec* instantiate(Device& device, const Graph& graph);
void launch_graph(Device& device, GraphExec& exec, Stream* stream);
/// Takes over the parameters of `graph`. If the shape differs, returns false and sets `differing` to the
/// first node that does.
bool update(GraphExec& exec, const Graph& graph, std::size_t& differing);

}  // namespace cuda_emulator
