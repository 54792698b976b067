// intrinsics.hpp - the processor's own vector operations, where it is an x86-64.
#pragma once

#if defined(__x86_64__)
// gcc 12 takes the undefined operands in its own header for mistakes (its bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif
