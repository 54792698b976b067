// counts.hpp - the work that a kernel's launches have done, for tests that compare it with a claim.
#pragma once

extern "C" {

/// Sums over all threads of all launches. An instruction that its guard switched off counts in `instructions`
/// only, because a device issues it too. Accesses are those to global memory, through any kind of pointer. An
/// atomic counts in `atomics` only, and its bytes count as read and as written.
struct cuda_emulator_counts {
  unsigned long long launches;
  unsigned long long instructions;  ///< PTX instructions, not machine instructions.
  unsigned long long divisions;     ///< div and rcp.
  unsigned long long roots;         ///< sqrt and rsqrt.
  unsigned long long loads;
  unsigned long long stores;
  unsigned long long atomics;
  unsigned long long local_accesses;  ///< Accesses to a thread's stack, which is in DRAM on a device.
  unsigned long long bytes_read;
  unsigned long long bytes_written;
  /// Accesses of warps: the lanes that execute an instruction for the k-th time make one request together.
  unsigned long long read_requests;
  unsigned long long write_requests;
  /// Memory transactions: the distinct 32-byte sectors that each request touches.
  unsigned long long read_sectors;
  unsigned long long write_sectors;
};

}  // extern "C"
