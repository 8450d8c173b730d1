# Debian's packages, as cmake/setup.sh installs them. Nothing is downloaded here.

find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(Catch2 2.13 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
if(TQ_KERNELS_ONLY)  # spdlog's and fmt's headers alone
  add_library(spdlog::spdlog INTERFACE IMPORTED)
  target_compile_definitions(spdlog::spdlog INTERFACE SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY)
  target_link_libraries(spdlog::spdlog INTERFACE Threads::Threads)
  return()
endif()
find_package(spdlog 1.10 REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS context)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
