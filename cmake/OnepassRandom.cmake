# onepass_add_random(<target>) adds the code that draws random bits: initializers, dropout and RandomState. The CPU
# loops are compiled once for each instruction set, with the flags of the update loops.

function(onepass_add_random target)
  target_sources(${target} PRIVATE
    host/check/check_tensor.cpp
    host/cpu/random.cpp
    host/initializers/distribution.cpp
    host/initializers/fans.cpp
    host/initializers/initialize.cpp
    host/initializers/initializers.cpp
    host/initializers/orthogonal.cpp
    host/random_state.cpp
    host/regularizers/dropout.cpp)
  onepass_add_per_isa(${target} random host/cpu/loops/random.cpp.in)
  if(ONEPASS_CUDA)
    target_sources(${target} PRIVATE host/cuda/random.cpp kernels/random/random_kernels.cu)
    set_source_files_properties(kernels/random/random_kernels.cu PROPERTIES COMPILE_OPTIONS "${ONEPASS_KERNEL_FLAGS}")
  else()
    target_sources(${target} PRIVATE host/cuda/absent_random.cpp)
  endif()
endfunction()
