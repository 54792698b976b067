# Puts ccache before the compilers where it is installed and no other launcher was chosen. It is never required.
#
# The cache serves every clone of the project: paths below the clone's folder are hashed relative to it. So the compiler
# sees relative paths, and __FILE__ and line information have them too.

option(ONEPASS_CCACHE "Compile through ccache if it is found" ${PROJECT_IS_TOP_LEVEL})
find_program(CCACHE_PROGRAM ccache)
mark_as_advanced(CCACHE_PROGRAM)
if(ONEPASS_CCACHE AND CCACHE_PROGRAM AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header is known by its contents; times of files differ between clones.
  set(launcher ${CMAKE_COMMAND} -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime "${CCACHE_PROGRAM}")
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${launcher})
endif()
