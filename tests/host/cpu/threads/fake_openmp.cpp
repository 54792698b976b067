// fake_openmp.cpp - the functions of an OpenMP runtime that the library borrows, on threads that the
// sanitizers know. Its threads flush denormals to zero, as a framework's may, and note whether a region has
// changed that.
#include <atomic>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

constexpr int kThreads = 3;
thread_local int number = 0;
thread_local bool inside = false;
std::atomic<int> regions{0}, changed{0};

/// Calls a thread's share of a region, in the modes of a caller that flushes to zero.
void call(void (*body)(void*), void* data, int thread) {
  number = thread;
  inside = true;
#if defined(__x86_64__)
  const unsigned before = _mm_getcsr(), mine = before | 0x8040;
  _mm_setcsr(mine);
  body(data);
  if (((_mm_getcsr() ^ mine) & ~0x3fu) != 0) ++changed;
  _mm_setcsr(before);
#else
  body(data);
#endif
  inside = false;
  number = 0;
}

}  // namespace

extern "C" {

int omp_get_max_threads() { return kThreads; }
int omp_in_parallel() { return inside ? 1 : 0; }
int omp_get_thread_num() { return number; }

void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned /*flags*/) {
  ++regions;
  const int count = threads == 0 ? kThreads : static_cast<int>(threads);
  std::vector<std::thread> others;
  for (int thread = 1; thread < count; ++thread) others.emplace_back(call, body, data, thread);
  call(body, data, 0);
  for (std::thread& other : others) other.join();
}

int fake_openmp_regions() { return regions; }
int fake_openmp_changed_modes() { return changed; }
}
