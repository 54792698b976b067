# onepass_compile_as_tests(<target>...): what is compiled for one run. Little optimisation, and GoogleTest and the
# standard library read once for each target: half of the time that a test took to compile.
#
# The library's own headers are not among those, so that a test still notices what one of them fails to include.
# A file with options of its own, which would need another copy of what is read, says SKIP_PRECOMPILE_HEADERS.

function(onepass_compile_as_tests)
  foreach(target IN LISTS ARGN)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-O1>)
    target_precompile_headers(${target} PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:${PROJECT_SOURCE_DIR}/tests/support/precompiled.hpp>")
  endforeach()
endfunction()
