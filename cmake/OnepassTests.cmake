# onepass_compile_as_tests(<target>...) compiles test targets quickly: with little optimisation, and with GoogleTest and
# the standard library as precompiled headers. This halves the compile time of a test.
#
# The precompiled headers do not contain the library's own headers, so that a test still fails to compile if a header
# lacks an #include. A file with its own compile options would need another precompiled copy, so it sets
# SKIP_PRECOMPILE_HEADERS.

function(onepass_compile_as_tests)
  foreach(target IN LISTS ARGN)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-O1>)
    target_precompile_headers(${target} PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:${PROJECT_SOURCE_DIR}/tests/support/precompiled.hpp>")
  endforeach()
endfunction()
