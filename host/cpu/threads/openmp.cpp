#include "host/cpu/threads/openmp.hpp"

#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace onepass::cpu {
namespace {

/// How the file names of OpenMP runtimes begin: GCC's, LLVM's and Intel's.
constexpr std::string_view kNames[] = {"libgomp", "libomp", "libiomp5"};

bool is_runtime(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  for (const std::string_view runtime : kNames) {
    if (name.substr(0, runtime.size()) == runtime) return true;
  }
  return false;
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

std::optional<OpenMP> functions_of(void* library) {
  OpenMP found{};
  const bool all = find(library, "GOMP_parallel", found.parallel) &&
                   find(library, "omp_get_max_threads", found.max_threads) &&
                   find(library, "omp_in_parallel", found.in_parallel) &&
                   find(library, "omp_get_thread_num", found.thread_num);
  return all ? std::optional(found) : std::nullopt;
}

/// Returns a handle of a library that is loaded, which keeps it loaded, or null.
void* hold(const char* path) { return dlopen(path, RTLD_NOLOAD | RTLD_LAZY | RTLD_LOCAL); }

/// The functions that every library sees: of a runtime that the program was linked with, or that was loaded
/// with RTLD_GLOBAL.
std::optional<OpenMP> global_runtime() {
  std::optional<OpenMP> found = functions_of(RTLD_DEFAULT);
  Dl_info info{};
  if (found && dladdr(reinterpret_cast<void*>(found->parallel), &info) != 0) (void)hold(info.dli_fname);
  return found;
}

/// The runtime of a library that was loaded for itself: its functions have to be looked up in its own file.
std::optional<OpenMP> local_runtime() {
  std::vector<std::string> paths;
  dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t /*size*/, void* paths) {
        if (is_runtime(object->dlpi_name)) {
          static_cast<std::vector<std::string>*>(paths)->emplace_back(object->dlpi_name);
        }
        return 0;
      },
      &paths);
  for (const std::string& path : paths) {
    void* const library = hold(path.c_str());
    if (library == nullptr) continue;
    if (std::optional<OpenMP> found = functions_of(library)) return found;
    dlclose(library);
  }
  return std::nullopt;
}

/// The number of libraries that the process has loaded so far, unloaded ones included.
unsigned long long loads() {
  unsigned long long loads = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t /*size*/, void* loads) {
        *static_cast<unsigned long long*>(loads) = object->dlpi_adds;
        return 1;  // the first object knows it
      },
      &loads);
  return loads;
}

}  // namespace

const OpenMP* loaded_openmp() {
  static std::atomic<const OpenMP*> found{nullptr};
  static std::atomic<unsigned long long> searched{0};  // loads() when nothing was found
  if (const OpenMP* known = found.load(std::memory_order_acquire)) return known;
  const unsigned long long now = loads();
  if (searched.load(std::memory_order_relaxed) == now) return nullptr;

  static std::mutex searching;
  static OpenMP runtime;
  const std::lock_guard lock(searching);
  if (found.load(std::memory_order_relaxed) == nullptr) {
    std::optional<OpenMP> here = global_runtime();
    if (!here) here = local_runtime();
    searched.store(now, std::memory_order_relaxed);
    if (here) {
      runtime = *here;
      found.store(&runtime, std::memory_order_release);
    }
  }
  return found.load(std::memory_order_relaxed);
}

}  // namespace onepass::cpu
