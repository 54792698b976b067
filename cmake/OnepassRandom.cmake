# What draws random bits: initializers, dropout, the state they are drawn from. The CPU loops are compiled once
# for each instruction set, with the flags of the sweeps.

function(onepass_add_random target)
  target_sources(${target} PRIVATE
    host/check_tensor.cpp
    host/cpu/random.cpp
    host/initializers/distribution.cpp
    host/initializers/fans.cpp
    host/initializers/initialize.cpp
    host/initializers/initializers.cpp
    host/initializers/orthogonal.cpp
    host/random_state.cpp
    host/regularizers/dropout.cpp)
  set(isas baseline)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND isas avx2 avx512)
  endif()
  set(flags_avx2 -march=x86-64-v3)
  set(flags_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  foreach(isa IN LISTS isas)
    set(source "${CMAKE_CURRENT_BINARY_DIR}/random/random_${isa}.cpp")
    configure_file(host/cpu/random.cpp.in "${source}" @ONLY)
    set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "${ONEPASS_SWEEP_FLAGS};${flags_${isa}}")
    target_sources(${target} PRIVATE "${source}")
  endforeach()
  if(ONEPASS_CUDA)
    target_sources(${target} PRIVATE host/cuda/random.cpp kernels/random_kernels.cu)
    set_source_files_properties(kernels/random_kernels.cu PROPERTIES COMPILE_OPTIONS "${ONEPASS_KERNEL_FLAGS}")
  else()
    target_sources(${target} PRIVATE host/cuda/absent_random.cpp)
  endif()
endfunction()
