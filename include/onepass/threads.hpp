// threads.hpp - whose threads do the work of the CPU backend. The results do not depend on it.
#pragma once

#include <functional>
#include <string_view>

namespace onepass {

/// Whose threads work on the CPU besides the caller's.
///
/// A training loop's framework has threads of its own. Between two steps they are awake, while the library's
/// threads sleep; and they wait in loops on the processors that the library's threads need. So a step runs on
/// the threads of the process's OpenMP runtime (PyTorch's, or that of a program which was compiled with
/// -fopenmp), if it has loaded one. The library finds it without being linked with it, also if it is loaded
/// after the optimizer is made.
///
/// In a parallel region of that runtime the calling thread works alone. So it does in a process that was
/// forked after this library was loaded, since a child has no threads of its parent. GCC's runtime cannot be
/// used in a child of a process that has used it; if the library is loaded there for the first time, it does
/// not notice, and needs Pool::own.
enum class Pool : unsigned char {
  best,    ///< ONEPASS_POOL (own, openmp) if set, else openmp.
  own,     ///< The library's own threads. It starts them at the first step that needs them.
  openmp,  ///< The OpenMP runtime's, at most as many as omp_get_max_threads() says; own if there is none.
};

/// Returns the pool that Pool::best stands for. Throws InvalidArgument if ONEPASS_POOL names none.
Pool best_pool();

/// Returns the name of a pool, such as "own".
std::string_view to_string(Pool pool);

/// A loop over threads of the caller's: calls body(part) once for every part from 0 to parts - 1, and returns
/// when all calls have returned. It may make the calls in any order, at once or one after the other, and in
/// any threads, including the one in which it was called. A call works until nothing is left to do, so a call
/// that comes late returns at once. `body` throws nothing. With TBB it is
///
///     [](int parts, const auto& body) { tbb::parallel_for(0, parts, body); }
///
/// If it throws, it must not call `body` any more. The thread that has called it then does what is left, and
/// the library's function throws the exception after its work is done.
using ParallelFor = std::function<void(int parts, const std::function<void(int part)>& body)>;

}  // namespace onepass
