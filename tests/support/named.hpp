// named.hpp - names the cases of a parameterised test after their member `name`.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace onepass::test {

/// Pass this as the last argument of INSTANTIATE_TEST_SUITE_P if the cases have a member `name`.
inline constexpr auto by_name = [](const auto& info) { return std::string(info.param.name); };

}  // namespace onepass::test
