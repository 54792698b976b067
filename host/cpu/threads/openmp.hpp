// openmp.hpp - the OpenMP runtime that the process has loaded, found without linking one.
#pragma once

namespace onepass::cpu {

/// The functions of an OpenMP runtime that the library calls. GCC's, LLVM's and Intel's have the same
/// functions.
struct OpenMP {
  /// Calls body(data) on every thread of the caller's team, and returns when all have returned. `threads` 0
  /// stands for omp_get_max_threads().
  void (*parallel)(void (*body)(void*), void* data, unsigned threads, unsigned flags);  ///< GOMP_parallel
  int (*max_threads)();  ///< omp_get_max_threads
  int (*in_parallel)();  ///< omp_in_parallel
  int (*thread_num)();   ///< omp_get_thread_num
};

/// Returns the OpenMP runtime of this process, or null while it has loaded none: the one whose functions
/// every library sees, else the first in the order in which libraries were loaded. PyTorch's is of the second
/// kind. Once it is found it stays loaded and remains the choice. Until then a call takes about 100
/// nanoseconds, unless libraries were loaded since the last one. Any thread may call it.
const OpenMP* loaded_openmp();

}  // namespace onepass::cpu
