#include "host/cpu/threads/team.hpp"

#include <algorithm>
#include <chrono>
#include <functional>

#include "host/cpu/threads/thread_pool.hpp"

namespace onepass::cpu {

void Team::run(const Job& job, Learner* learner) {
  if (job.run.threads <= 1) return do_alone(job);
  if (parallel_for_) return run_by_caller(job);
  if (forked()) return do_alone(job);
  const OpenMP* const openmp = pool_ == Pool::own ? nullptr : find_();
  if (openmp == nullptr) return ThreadPool::shared().run(job, learner);
  run_by_openmp(*openmp, job, learner);
}

void Team::run_by_caller(const Job& job) {
  run_.grow(job.run.threads);
  run_.open(job);
  try {
    parallel_for_(job.run.threads, [this](int part) { run_.join(part); });
  } catch (...) {
    if (failure_ == nullptr) failure_ = std::current_exception();
  }
  run_.close();
}

/// Always calls the whole team: a runtime may end threads for which a smaller team has no use, and start them
/// again for its next region. Threads that the job does not want return at once.
void Team::run_by_openmp(const OpenMP& openmp, Job job, Learner* learner) {
  job.run.threads = std::min(job.run.threads, openmp.in_parallel() != 0 ? 1 : openmp.max_threads());
  if (job.run.threads <= 1) return do_alone(job);
  const auto begin = std::chrono::steady_clock::now();
  const bool together = learner == nullptr || learner->together(job.run.nanoseconds, 0.0);
  if (together) {
    run_.grow(job.run.threads);
    run_.open(job);
    std::pair<SharedRun*, const OpenMP*> entrance(&run_, &openmp);
    openmp.parallel(
        [](void* data) {
          const auto& [run, runtime] = *static_cast<std::pair<SharedRun*, const OpenMP*>*>(data);
          run->join(runtime->thread_num());
        },
        &entrance, 0, 0);
    run_.close();
  } else {
    do_alone(job);
  }
  if (learner != nullptr) {
    learner->took(together,
                  std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count());
  }
}

}  // namespace onepass::cpu
