# What can be chosen, what is found, and the warnings of our own targets.

include(CheckLanguage)
check_language(CUDA)
set(cuda_found OFF)
if(CMAKE_CUDA_COMPILER)
  set(cuda_found ON)
endif()

option(ONEPASS_CUDA "Build the CUDA backend (default: if there is nvcc)" ${cuda_found})
option(ONEPASS_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(ONEPASS_BUILD_EXAMPLES "Build the examples and the trainer" ${PROJECT_IS_TOP_LEVEL})
option(ONEPASS_BUILD_BENCH "Build the benchmark" ${PROJECT_IS_TOP_LEVEL})
option(ONEPASS_WERROR "Warnings are errors" ${PROJECT_IS_TOP_LEVEL})

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_package(Threads REQUIRED)

if(ONEPASS_CUDA)
  # CMake 3.25.1 does not know that nvcc has C++20.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  # PTX for whatever comes, and for the tests' interpreter; machine code for one architecture.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-virtual 90-real)
  endif()
  # One CUDA runtime in a process, and one that can be replaced: libcudart.so.
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  find_package(CUDAToolkit REQUIRED)
endif()

# LD_LIBRARY_PATH may then put another CUDA runtime before the toolkit's.
if(PROJECT_IS_TOP_LEVEL)
  add_link_options(-Wl,--enable-new-dtags)
endif()

add_library(onepass_warnings INTERFACE)
target_compile_options(onepass_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>
  $<$<AND:$<BOOL:${ONEPASS_WERROR}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>
  $<$<AND:$<BOOL:${ONEPASS_WERROR}>,$<COMPILE_LANGUAGE:CUDA>>:-Werror=all-warnings>)
