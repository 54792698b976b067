// precompiled.hpp - the headers that most tests include. cmake/OnepassTests.cmake precompiles this file; do
// not include it yourself.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>
