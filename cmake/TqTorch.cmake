# LibTorch as imported targets. find_package(Torch) of a CUDA wheel insists on a CUDA toolkit; the
# two libraries that we call, c10 and torch_cpu, do not need one.
#
# Where from: LIBTORCH (cache or environment), else where cmake/setup.sh leaves it, which the preset
# "cuda" changes. It may be an unpacked libtorch zip or the torch folder of a Python installation.
set(TQ_LIBTORCH_FETCHED ${CMAKE_SOURCE_DIR}/.deps/libtorch CACHE PATH "Where none is named")
mark_as_advanced(TQ_LIBTORCH_FETCHED)

if(NOT LIBTORCH AND DEFINED ENV{LIBTORCH})
  set(LIBTORCH $ENV{LIBTORCH})
endif()
if(NOT LIBTORCH)
  set(LIBTORCH ${TQ_LIBTORCH_FETCHED})
endif()
set(LIBTORCH ${LIBTORCH} CACHE PATH "Folder of LibTorch (with include/ and lib/)" FORCE)

foreach(file include/ATen/ATen.h lib/libc10.so lib/libtorch_cpu.so)
  if(NOT EXISTS ${LIBTORCH}/${file})
    message(FATAL_ERROR "LIBTORCH=${LIBTORCH} has no ${file}. Run cmake/setup.sh, or set LIBTORCH "
      "to a LibTorch folder, or build without it: -DTQ_TORCH=OFF")
  endif()
endforeach()

# std::string and std::list differ between the two ABIs of libstdc++: take the library's own.
file(STRINGS ${LIBTORCH}/lib/libc10.so tq_torch_cxx11
  REGEX "_ZN3c105ErrorC[12]E.*__cxx11" LIMIT_COUNT 1)
if(tq_torch_cxx11)
  set(tq_torch_abi 1)
else()
  set(tq_torch_abi 0)
endif()

foreach(library c10 torch_cpu)
  add_library(tq_torch_${library} SHARED IMPORTED GLOBAL)
  set_target_properties(tq_torch_${library} PROPERTIES
    IMPORTED_LOCATION ${LIBTORCH}/lib/lib${library}.so)
endforeach()
# A LibTorch with CUDA has two more. Its operators register themselves when libtorch_cuda.so is
# loaded: no symbol of it is asked for, so the linker would leave it out.
if(EXISTS ${LIBTORCH}/lib/libc10_cuda.so AND EXISTS ${LIBTORCH}/lib/libtorch_cuda.so)
  add_library(tq_torch_cuda INTERFACE)
  target_link_options(tq_torch_cuda INTERFACE
    "LINKER:--push-state,--no-as-needed,${LIBTORCH}/lib/libtorch_cuda.so,--pop-state")
  target_link_libraries(tq_torch_cuda INTERFACE ${LIBTORCH}/lib/libc10_cuda.so)
endif()
# libtorch_cpu.so names libcudart, libcupti and libgomp; they lie beside it and it finds them there.
add_library(tq_torch INTERFACE)
add_library(tq::torch ALIAS tq_torch)
# Searched last: the folder also holds copies of other libraries (fmt, google), of versions that
# Debian's spdlog and sentencepiece do not fit.
target_compile_options(tq_torch INTERFACE "SHELL:-idirafter ${LIBTORCH}/include")
target_compile_definitions(tq_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=${tq_torch_abi})
target_link_libraries(tq_torch INTERFACE tq_torch_torch_cpu tq_torch_c10)
# Its neighbours may depend on libraries (libcuda) that exist on the target machine only.
target_link_options(tq_torch INTERFACE -Wl,--allow-shlib-undefined
  -Wl,-rpath-link,${LIBTORCH}/lib)

# `cmake --install` takes what the programs load along: with CUDA, all of it.
if(TARGET tq_torch_cuda AND TQ_WITH_CUDA)
  file(GLOB tq_torch_files ${LIBTORCH}/lib/*.so*)
else()
  file(GLOB tq_torch_files ${LIBTORCH}/lib/libc10.so ${LIBTORCH}/lib/libtorch_cpu.so
    ${LIBTORCH}/lib/libgomp*.so* ${LIBTORCH}/lib/libcudart*.so* ${LIBTORCH}/lib/libcupti*.so*)
endif()
install(FILES ${tq_torch_files} DESTINATION lib)
if(EXISTS ${LIBTORCH}/licenses)
  install(DIRECTORY ${LIBTORCH}/licenses DESTINATION share/doc/libtorch)
endif()

# A translation unit that includes LibTorch takes about 1.5 GB of memory: so many at a time.
cmake_host_system_information(RESULT tq_memory_mb QUERY TOTAL_PHYSICAL_MEMORY)
math(EXPR tq_torch_jobs "(${tq_memory_mb} + 1999) / 2000")
set_property(GLOBAL APPEND PROPERTY JOB_POOLS tq_torch=${tq_torch_jobs})

# ATen, compiled once for all targets: about 23 s and 390 MB, then each file takes 2 to 3 s instead
# of 7 (ATen/core/Tensor.h alone) to 12 (ATen/ATen.h). A smaller set of headers (Tensor.h, empty.h,
# from_blob.h) costs 21 s as well.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/tq_torch_pch.cpp
  CONTENT "// Only a home for the headers.\n")
add_library(tq_torch_pch OBJECT ${CMAKE_BINARY_DIR}/tq_torch_pch.cpp)
target_link_libraries(tq_torch_pch PRIVATE tq_flags tq::torch)
target_precompile_headers(tq_torch_pch PRIVATE <ATen/ATen.h> <ATen/Parallel.h>)
set_target_properties(tq_torch_pch PROPERTIES JOB_POOL_COMPILE tq_torch)

# tq_use_torch(TARGET [PUBLIC|PRIVATE]): links LibTorch. PUBLIC (the default) where the target's
# headers name at::Tensor. Files still include what they use; the precompiled part is then free.
function(tq_use_torch target)
  set(scope PUBLIC)
  if(ARGC GREATER 1)
    set(scope ${ARGV1})
  endif()
  target_link_libraries(${target} ${scope} tq::torch)
  target_precompile_headers(${target} REUSE_FROM tq_torch_pch)
  set_target_properties(${target} PROPERTIES JOB_POOL_COMPILE tq_torch)
endfunction()
