# One function per kind of target, so that a folder's CMakeLists.txt is a list of files and layers.

# tq_library(NAME SOURCES a.cpp ... DEPS tq_config ... [PRIVATE_DEPS Boost::json ...])
function(tq_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC tq_flags ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE tq_flags ${arg_DEPS} ${arg_PRIVATE_DEPS})
  endif()
endfunction()

# tq_executable(NAME SOURCES ... DEPS ...): lands in <build>/bin; where it is installed, it finds
# LibTorch in ../lib.
function(tq_executable name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE tq_flags ${arg_DEPS})
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()

# tq_test(NAME SOURCES ... DEPS ... [LABELS ...] [TIMEOUT seconds]): one Catch2 binary, one ctest
# entry.
# tests/support/main.cpp prints the seed and holds Catch2's main.
function(tq_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(CMAKE_CROSSCOMPILING)  # an emulator is so much slower
    math(EXPR arg_TIMEOUT "10 * ${arg_TIMEOUT}")
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE tq_flags tq_test_main ${arg_DEPS})
  target_compile_definitions(${name} PRIVATE TQ_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
endfunction()

# tq_link_portably(TARGET): the program needs no library of this machine but the C library's.
function(tq_link_portably target)
  target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc LINKER:--as-needed)
endfunction()
