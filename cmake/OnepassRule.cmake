# onepass_add_rule(<target> STEM <stem> TYPE <c++ type> HEADER <header> [FORMATS all] [USES_LOOPS_OF_ANOTHER])
#
# Adds everything that one rule needs to a target: its table of functions for the core, the CPU loops for each
# instruction set, and the CUDA kernels. Each is a small generated file. The library uses this function for its own
# rules, and users for theirs. The target must be able to #include HEADER. Kernels are generated if this project has
# CUDA (enable_language(CUDA)) and onepass was built with CUDA. USES_LOOPS_OF_ANOTHER: the rule has a member type Loops,
# the rule whose loops and update kernels move it.
#
# On the CPU, the loops of a rule move float32 numbers, and codecs that all rules share decode and encode every other
# format in stages. FORMATS all: with AVX2 and AVX-512, every format has a fused loop of its own. It takes up to 45% less
# time in cache (docs/performance.md), and the loops of a variant take 4 s of compile time for each instruction set, in
# place of 0.2 s.

set(ONEPASS_RULE_TEMPLATES "${CMAKE_CURRENT_LIST_DIR}/.." CACHE INTERNAL "")

# The loops have these flags in every build type. Without -fno-math-errno, or at -O2, gcc does not vectorise them (4 to
# 14 times slower). -fno-unswitch-loops gives one loop with blends instead of one loop for each combination of options.
# There is no contraction, because the rules call fma explicitly. -fno-fast-math overrides the flags of the surrounding
# project: -ffast-math would approximate roots, differently for each instruction set.
# The bits do not depend on the level, so builds that only check results may use a lower one.
set(ONEPASS_LOOP_OPTIMIZATION -O3 CACHE STRING "Optimisation of the CPU loops, in every build type")
# Builds that check what does not depend on the instruction set may leave out the others: half of the compile time.
option(ONEPASS_BASELINE_ONLY "Leave out the loops for AVX2 and AVX-512" OFF)
mark_as_advanced(ONEPASS_LOOP_OPTIMIZATION ONEPASS_BASELINE_ONLY)
if(ONEPASS_BASELINE_ONLY)
  add_compile_definitions(ONEPASS_BASELINE_ONLY)
endif()
set(ONEPASS_LOOP_FLAGS ${ONEPASS_LOOP_OPTIMIZATION} -fno-fast-math -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-unswitch-loops
  CACHE INTERNAL "")

# The kernels compute with IEEE arithmetic and without contraction, as the rules are written. In builds with tests, the
# emulator reads the PTX and reports its source lines; this makes the library three times as large.
set(ONEPASS_KERNEL_FLAGS -fmad=false CACHE INTERNAL "")
if(ONEPASS_BUILD_TESTS)
  set(ONEPASS_KERNEL_FLAGS -fmad=false -lineinfo --compress-mode=none CACHE INTERNAL "")
endif()

# onepass_add_per_isa(<target> <stem> <template> [<template of baseline>]) adds one generated file for each instruction
# set. The template contains @isa@.
function(onepass_add_per_isa target stem template)
  set(flags_of_baseline)
  set(flags_of_avx2 -march=x86-64-v3)
  set(flags_of_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  set(template_of_baseline "${template}")
  if(ARGC GREATER 3)
    set(template_of_baseline "${ARGV3}")
  endif()
  set(template_of_avx2 "${template}")
  set(template_of_avx512 "${template}")
  set(sets baseline)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT ONEPASS_BASELINE_ONLY)
    list(APPEND sets avx2 avx512)
  endif()
  foreach(isa IN LISTS sets)
    set(source "${CMAKE_CURRENT_BINARY_DIR}/rules/${stem}_${isa}.cpp")
    configure_file("${ONEPASS_RULE_TEMPLATES}/${template_of_${isa}}" "${source}" @ONLY)
    # The target's precompiled headers were compiled with other options.
    set_source_files_properties("${source}" PROPERTIES
      COMPILE_OPTIONS "${ONEPASS_LOOP_FLAGS};${flags_of_${isa}}" SKIP_PRECOMPILE_HEADERS ON)
    target_sources(${target} PRIVATE "${source}")
  endforeach()
endfunction()

function(onepass_add_rule target)
  cmake_parse_arguments(rule "USES_LOOPS_OF_ANOTHER" "STEM;TYPE;HEADER;FORMATS" "" ${ARGN})
  set(rule_type ${rule_TYPE})
  set(rule_header ${rule_HEADER})
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/rules/${rule_STEM}")

  configure_file("${ONEPASS_RULE_TEMPLATES}/host/rule/rule.cpp.in" "${generated}.cpp" @ONLY)
  set_source_files_properties("${generated}.cpp"
    PROPERTIES COMPILE_OPTIONS "-fno-fast-math;-ffp-contract=off" SKIP_PRECOMPILE_HEADERS ON)
  target_sources(${target} PRIVATE "${generated}.cpp")

  if(NOT rule_USES_LOOPS_OF_ANOTHER)
    set(staged host/cpu/staged/rule.cpp.in)
    if(rule_FORMATS STREQUAL "all")
      onepass_add_per_isa(${target} "${rule_STEM}" host/cpu/loops/update.cpp.in ${staged})
    elseif(NOT DEFINED rule_FORMATS)
      onepass_add_per_isa(${target} "${rule_STEM}" ${staged})
    else()
      message(FATAL_ERROR "onepass_add_rule: FORMATS ${rule_FORMATS}: the only list of formats is `all`")
    endif()
  endif()
  target_include_directories(${target} PRIVATE "${ONEPASS_RULE_TEMPLATES}")
  # CMAKE_CUDA_COMPILER_LOADED: CUDA is enabled in this folder. If onepass is a subdirectory of a C++ project, CUDA may
  # be enabled only in folders below.
  if((ONEPASS_CUDA OR onepass_CUDA) AND CMAKE_CUDA_COMPILER_LOADED)
    configure_file("${ONEPASS_RULE_TEMPLATES}/kernels/update/rule.cu.in" "${generated}.cu" @ONLY)
    target_sources(${target} PRIVATE "${generated}.cu")
    set(flags ${ONEPASS_KERNEL_FLAGS})
    if(NOT CMAKE_CUDA_STANDARD)
      list(APPEND flags -std=c++20)
    endif()
    set_source_files_properties("${generated}.cu" PROPERTIES COMPILE_OPTIONS "${flags}")
    set_source_files_properties("${generated}.cpp" PROPERTIES COMPILE_DEFINITIONS ONEPASS_WITH_CUDA)
    set_target_properties(${target} PROPERTIES CUDA_RUNTIME_LIBRARY Shared)
  endif()
  set_property(TARGET ${target} APPEND PROPERTY ONEPASS_RULE_STEMS ${rule_STEM})
  set_property(TARGET ${target} APPEND PROPERTY ONEPASS_RULE_TYPES ${rule_TYPE})
  set_property(TARGET ${target} APPEND PROPERTY ONEPASS_RULE_HEADERS ${rule_HEADER})
endfunction()

# onepass_list_rules(<target>) generates what lists the library's rules, after all of them were added: the public header
# onepass/all_optimizers.hpp and library_rules().
function(onepass_list_rules target)
  get_target_property(types ${target} ONEPASS_RULE_TYPES)
  get_target_property(headers ${target} ONEPASS_RULE_HEADERS)
  list(TRANSFORM types REPLACE "(.+)" "Rule(\\1{})" OUTPUT_VARIABLE rule_values)
  list(JOIN rule_values ", " rule_values)
  list(TRANSFORM headers REPLACE "(.+)" "#include \"\\1\"" OUTPUT_VARIABLE rule_includes)
  list(JOIN rule_includes "\n" rule_includes)
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/include")
  configure_file(host/rule/all_optimizers.hpp.in "${generated}/onepass/all_optimizers.hpp" @ONLY)
  configure_file(host/rule/library_rules.cpp.in "${CMAKE_CURRENT_BINARY_DIR}/rules/library_rules.cpp" @ONLY)
  target_sources(${target} PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/rules/library_rules.cpp")
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${generated}>)
endfunction()
