// team.hpp - whose threads do a piece of work: the caller's, an OpenMP runtime's, or the library's own.
#pragma once

#include <exception>
#include <utility>

#include "host/cpu/threads/learner.hpp"
#include "host/cpu/threads/openmp.hpp"
#include "host/cpu/threads/shared_run.hpp"
#include "onepass/options.hpp"

namespace onepass::cpu {

/// Hands work to threads. All work of the CPU goes through run(). One thread at a time uses a team; several
/// teams may work at once.
class Team {
 public:
  /// `parallel_for` may be empty. `find` returns the OpenMP runtime of the process, or null.
  explicit Team(Pool pool, ParallelFor parallel_for = {}, const OpenMP* (*find)() = loaded_openmp)
      : pool_(pool), parallel_for_(std::move(parallel_for)), find_(find) {}

  /// Makes room for a number of threads, so that run() allocates nothing. Throws std::bad_alloc.
  void reserve(int threads) { run_.grow(threads); }

  /// Does every part once, and returns when all are done. The work runs
  /// - on the caller's threads, if there is a parallel_for, always;
  /// - else on the team of the OpenMP runtime, if one is loaded and Pool::own is not chosen; from within a
  ///   parallel region of it, in the calling thread alone;
  /// - else on the library's own threads.
  /// In a process that was forked, only a parallel_for provides threads. For work that is done again and
  /// again, `learner` says whether threads that are not the caller's bring anything.
  ///
  /// If parallel_for throws, the calling thread does what is left. rethrow() throws the exception.
  void run(const Job& job, Learner* learner = nullptr);

  /// The same for a callable: work(thread, part).
  template <class Work>
  void run(const PoolRun& run, Work& work, Learner* learner = nullptr) {
    this->run(job_of(run, work), learner);
  }

  /// Throws the first exception that parallel_for has thrown since the last call, if any.
  void rethrow() {
    if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  void run_by_caller(const Job& job);
  void run_by_openmp(const OpenMP& openmp, Job job, Learner* learner);

  Pool pool_;
  ParallelFor parallel_for_;
  const OpenMP* (*find_)();
  std::exception_ptr failure_;
  SharedRun run_;  ///< The work of threads that are not the library's own.
};

}  // namespace onepass::cpu
