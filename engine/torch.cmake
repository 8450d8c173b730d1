# The runner on LibTorch: the only part of the engine that links the decoder.
tq_library(tq_torch_runner
  SOURCES torch_runner.cpp
  DEPS tq_engine tq_models)
tq_use_torch(tq_torch_runner PRIVATE)  # its bundled fmt must not reach spdlog
