# The decoder on LibTorch.
if(TQ_TORCH)
  tq_library(tq_models
    SOURCES
      attention_layer.cpp
      device/device_llama.cpp
      device/device_model.cpp
      device/device_sizes.cpp
      device/device_weights.cpp
      device/find_device.cpp
      device/step_graphs.cpp
      find_weights.cpp
      layers.cpp
      llama.cpp
      packed_weights.cpp
      registry.cpp
      rope.cpp
    DEPS tq_weights tq_kernels)
  tq_use_torch(tq_models PRIVATE)  # decoder.h, the public header, names no LibTorch type

  # LibTorch's CUDA, where it has it. Compiled wherever its headers and those of the CUDA libraries
  # that they include are, so that it does not rot.
  set(tq_missing_headers)
  foreach(header cublas_v2.h cusparse.h cusolverDn.h)
    find_file(tq_header ${header} HINTS ${TQ_CUDA_INCLUDE_DIRS} NO_CACHE)
    if(NOT tq_header)
      list(APPEND tq_missing_headers ${header})
    endif()
    unset(tq_header)
  endforeach()
  if(NOT EXISTS ${LIBTORCH}/include/c10/cuda/impl/cuda_cmake_macros.h)
    list(APPEND tq_missing_headers c10/cuda/impl/cuda_cmake_macros.h)
  endif()
  if(TQ_WITH_CUDA AND TARGET tq_torch_cuda AND tq_missing_headers)
    message(FATAL_ERROR "LibTorch's CUDA needs headers that are not there: ${tq_missing_headers}")
  endif()
  if(TQ_WITH_CUDA AND NOT TARGET tq_torch_cuda AND NOT TQ_CUDA STREQUAL "AUTO")
    message(WARNING "LIBTORCH=${LIBTORCH} has no CUDA: --device cuda will say so")
  endif()
  if(TQ_WITH_CUDA AND NOT tq_missing_headers)
    add_library(tq_torch_device_cuda OBJECT device/torch_device_cuda.cpp)
    target_link_libraries(tq_torch_device_cuda PRIVATE tq_flags tq_weights tq_kernels)
    target_include_directories(tq_torch_device_cuda SYSTEM PRIVATE ${TQ_CUDA_INCLUDE_DIRS})
    tq_use_torch(tq_torch_device_cuda PRIVATE)
  endif()
  if(TQ_WITH_CUDA AND TARGET tq_torch_cuda)
    target_sources(tq_models PRIVATE $<TARGET_OBJECTS:tq_torch_device_cuda>)
    target_link_libraries(tq_models PRIVATE tq_torch_cuda)
  else()
    target_sources(tq_models PRIVATE device/torch_device_absent.cpp)
  endif()
endif()
