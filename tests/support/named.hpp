// named.hpp - what a test of many cases is called by: each case's own name.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace onepass::test {

/// The last argument of INSTANTIATE_TEST_SUITE_P where cases have a `name`.
inline constexpr auto by_name = [](const auto& info) { return std::string(info.param.name); };

}  // namespace onepass::test
