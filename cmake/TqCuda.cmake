# TQ_CUDA decides whether the CUDA backend is built; sets TQ_WITH_CUDA. Instrumented builds are
# made without it unless it is asked for: nvcc does not know their flags.
set(TQ_CUDA_ARCHITECTURES "80;90-real" CACHE STRING
  "Devices to compile for; one that is not named here needs a virtual architecture below its own")
set(TQ_WITH_CUDA OFF)
if(TQ_CUDA STREQUAL "AUTO")
  if(NOT TQ_SANITIZE)
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
      set(TQ_WITH_CUDA ON)
    endif()
  endif()
elseif(TQ_CUDA)
  set(TQ_WITH_CUDA ON)
endif()

if(TQ_WITH_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES ${TQ_CUDA_ARCHITECTURES})
  enable_language(CUDA)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  # CMake 3.25 does not know nvcc's flag for C++20.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  set(TQ_CUDA_INCLUDE_DIRS ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  string(APPEND CMAKE_CUDA_FLAGS " --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra")
endif()
