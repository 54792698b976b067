// sample.hpp - a part of many cases, for runs that repeat what another run shows in full.
#pragma once

#include <cstdlib>

namespace onepass::test {

/// Takes one in ONEPASS_TEST_SAMPLE of the cases that it is asked about, and all without that variable.
/// tools/test sets it for the second order of the emulator's threads, and for onepass_bits under the
/// emulator.
class Sample {
 public:
  [[nodiscard]] bool takes_next() { return next_++ % one_in_ == 0; }

 private:
  static int one_in() {
    const char* const value = std::getenv("ONEPASS_TEST_SAMPLE");
    const int number = value != nullptr ? std::atoi(value) : 1;
    return number > 0 ? number : 1;
  }

  int one_in_ = one_in();
  int next_ = 0;
};

}  // namespace onepass::test
