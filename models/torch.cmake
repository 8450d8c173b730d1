# The decoder on LibTorch.
if(TQ_TORCH)
  tq_library(tq_models
    SOURCES
      attention_layer.cpp
      device/device_llama.cpp
      device/device_sizes.cpp
      device/device_weights.cpp
      device/find_device.cpp
      find_weights.cpp
      layers.cpp
      llama.cpp
      packed_weights.cpp
      registry.cpp
      rope.cpp
    DEPS tq_weights tq_kernels)
  tq_use_torch(tq_models PRIVATE)  # decoder.h, the public header, names no LibTorch type

  # LibTorch's CUDA, where it has it. Compiled wherever its headers are, so that it does not rot.
  if(TQ_WITH_CUDA AND EXISTS ${LIBTORCH}/include/c10/cuda/impl/cuda_cmake_macros.h)
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
