// counts.hpp - what a kernel's launches have done, for tests of how much work a kernel is.
#pragma once

extern "C" {

/// Sums over all threads of all launches. An instruction that its guard switched off is one of `instructions`
/// and nothing else, as it takes a turn on a device too. Accesses are those to global memory, whatever
/// pointer they are made through; an atomic counts as `atomics` alone, and its bytes as read and as written.
struct cuda_emulator_counts {
  unsigned long long launches;
  unsigned long long instructions;  ///< PTX instructions of threads, which are not machine instructions.
  unsigned long long divisions;     ///< div and rcp.
  unsigned long long roots;         ///< sqrt and rsqrt.
  unsigned long long loads;
  unsigned long long stores;
  unsigned long long atomics;
  unsigned long long local_accesses;  ///< To a thread's local memory: the stack, in DRAM on a device.
  unsigned long long bytes_read;
  unsigned long long bytes_written;
  /// Accesses of warps: the lanes that execute an instruction the k-th time, together.
  unsigned long long read_requests;
  unsigned long long write_requests;
  /// Memory transactions: distinct 32-byte sectors that each request touches.
  unsigned long long read_sectors;
  unsigned long long write_sectors;
};

}  // extern "C"
