# The decoder on LibTorch.
if(TQ_TORCH)
  tq_library(tq_models
    SOURCES attention_layer.cpp layers.cpp llama.cpp packed_weights.cpp registry.cpp rope.cpp
    DEPS tq_weights tq_kernels)
  tq_use_torch(tq_models PRIVATE)  # decoder.h, the public header, names no LibTorch type
endif()
