// float_environment.hpp - IEEE 754 arithmetic, whatever modes the caller has set in the processor.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#else
#include <cfenv>
#endif

namespace onepass::cpu {

/// While an object lives, the calling thread rounds to nearest and keeps denormals. The destructor restores
/// the caller's modes. Otherwise a caller that flushes denormals to zero (linking with -ffast-math is
/// enough) would get other bits.
class DefaultFloatEnvironment {
 public:
#if defined(__x86_64__)
  DefaultFloatEnvironment() : saved_(_mm_getcsr()) {
    if (saved_ != kDefault) _mm_setcsr(kDefault);
  }
  /// Also restores the caller's exception flags: those that the step has raised are dropped.
  ~DefaultFloatEnvironment() { _mm_setcsr(saved_); }

 private:
  static constexpr unsigned kDefault = 0x1f80;  // round to nearest, no flushing, exceptions masked
  unsigned saved_;
#else
  DefaultFloatEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif

 public:
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;
};

}  // namespace onepass::cpu
