# Defines the options, finds the packages, and sets the warnings for the project's own targets.

include(CheckLanguage)
include(CMakeDependentOption)
check_language(CUDA)
set(cuda_found OFF)
if(CMAKE_CUDA_COMPILER)
  set(cuda_found ON)
endif()

option(ONEPASS_CUDA "Build the CUDA backend (default: if nvcc is found)" ${cuda_found})
option(ONEPASS_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(ONEPASS_BUILD_EXAMPLES "Build the examples and the trainer" ${PROJECT_IS_TOP_LEVEL})
option(ONEPASS_BUILD_C "Build the C interface, a shared library" ${PROJECT_IS_TOP_LEVEL})
option(ONEPASS_BUILD_BENCH "Build the benchmark" ${PROJECT_IS_TOP_LEVEL})
cmake_dependent_option(ONEPASS_EMULATOR "Build the CUDA emulator (default: with the tests)" ${ONEPASS_BUILD_TESTS}
  "ONEPASS_CUDA" OFF)
option(ONEPASS_WERROR "Treat warnings as errors" ${PROJECT_IS_TOP_LEVEL})

include(OnepassCache)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_path(ONEPASS_XXHASH_INCLUDE_DIR xxhash.h REQUIRED DOC "Folder of xxhash.h")
mark_as_advanced(ONEPASS_XXHASH_INCLUDE_DIR)
add_library(onepass_xxhash INTERFACE)
target_include_directories(onepass_xxhash SYSTEM INTERFACE "${ONEPASS_XXHASH_INCLUDE_DIR}")

if(ONEPASS_CUDA)
  # CMake 3.25.1 does not know that nvcc supports C++20.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  # By default the objects have PTX, for other GPUs and for the emulator that runs the tests, and machine code for one
  # GPU. nvcc makes both from one run of its front end, which "80-virtual 90-real" would run twice: a third of the time.
  # The machine code is the same, since nothing here asks for the architecture.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES OFF)
    add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:--generate-code=arch=compute_80,code=[compute_80,sm_90]>")
  endif()
  # A process should have one CUDA runtime, and the emulator must be able to replace it: libcudart.so.
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  find_package(CUDAToolkit REQUIRED)
endif()

# With RUNPATH instead of RPATH, LD_LIBRARY_PATH can put another CUDA runtime before the toolkit's.
if(PROJECT_IS_TOP_LEVEL)
  add_link_options(-Wl,--enable-new-dtags)
endif()

add_library(onepass_warnings INTERFACE)
target_compile_options(onepass_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>
  $<$<AND:$<BOOL:${ONEPASS_WERROR}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>
  $<$<AND:$<BOOL:${ONEPASS_WERROR}>,$<COMPILE_LANGUAGE:CUDA>>:-Werror=all-warnings>)
