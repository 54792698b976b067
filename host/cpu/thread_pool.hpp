// thread_pool.hpp - threads that wait for the next step.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

namespace onepass::cpu {

/// Runs one piece of work on several threads; the caller is one of them. Workers spin for some microseconds
/// after each run and then sleep: waking one costs about 100 microseconds on a virtual machine.
class ThreadPool {
 public:
  /// What thread `thread` of `threads` does. Must not throw.
  using Task = void (*)(void* context, int thread, int threads);

  /// The pool that all optimizers of the process share. Made on first use; grows as needed.
  static ThreadPool& shared();

  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Runs the task with thread = 0 .. threads - 1 and returns when all are done. Where another thread is
  /// using the pool just now, or it cannot have so many threads, the caller does all of it alone, in order.
  void run(int threads, Task task, void* context);

  template <class Work>
  void run(int threads, Work& work) {
    run(
        threads, [](void* context, int thread, int count) { (*static_cast<Work*>(context))(thread, count); },
        &work);
  }

  /// Whether workers for a run of `threads` would start at once instead of having to be woken.
  [[nodiscard]] bool awake(int threads) const;

 private:
  struct Job {
    Task task = nullptr;
    void* context = nullptr;
    int threads = 0;
  };

  bool grow(int threads);
  void run_together(const Job& job);
  void work(int thread, unsigned seen);

  std::atomic<bool> busy_{false};  ///< Not a mutex: work within work asks for it again.
  Job job_;
  std::vector<std::thread> workers_;
  std::atomic<int> worker_count_{0};
  bool stopping_ = false;
  alignas(64) std::atomic<unsigned> generation_{0};
  alignas(64) std::atomic<int> unfinished_{0};
  alignas(64) std::atomic<int> asleep_{0};
};

}  // namespace onepass::cpu
