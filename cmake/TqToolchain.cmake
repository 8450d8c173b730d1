# ccache where it is installed, the project's warnings, and sanitizers for all code of ours.

find_program(TQ_CCACHE ccache)
if(TQ_CCACHE)
  # Without this sloppiness ccache never caches a file that has a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${TQ_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${TQ_CCACHE})
endif()

add_library(tq_flags INTERFACE)
target_include_directories(tq_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(tq_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual>
  $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>
  # GCC 12 warns falsely of `"literal" + std::string` (GCC bug 105651).
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict>)

if(TQ_SANITIZE)
  target_compile_options(tq_flags INTERFACE
    -fsanitize=${TQ_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(tq_flags INTERFACE -fsanitize=${TQ_SANITIZE})
  if(TQ_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Boost.Asio fences where it also holds a mutex; TSan sees the mutex.
    target_compile_options(tq_flags INTERFACE -Wno-tsan)
  endif()
elseif(TQ_WERROR)
  # Not beside a sanitizer: instrumented code draws false warnings from GCC 12 (of std::regex, of
  # coroutine frames). The release build compiles the same files and must have none.
  target_compile_options(tq_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
