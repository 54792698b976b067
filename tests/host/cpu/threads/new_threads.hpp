// new_threads.hpp - a caller's loop that takes a new thread for each part.
#pragma once

#include <functional>
#include <thread>
#include <vector>

namespace onepass::test {

using Body = std::function<void(int)>;

/// Calls body(part) for every part, each on a thread of its own, and returns when all are done.
inline void on_new_threads(int parts, const Body& body) {
  std::vector<std::thread> threads;
  for (int part = 0; part < parts; ++part) threads.emplace_back([&body, part] { body(part); });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace onepass::test
