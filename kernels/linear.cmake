# The linear layers' kernel: one body, one translation unit per instruction set.
tq_library(tq_linear
  SOURCES linear.cpp run_linear.cpp cpu/linear_scalar.cpp cpu/linear_avx2.cpp cpu/linear_avx512.cpp
  DEPS tq_config tq_kernels)
set_source_files_properties(cpu/linear_scalar.cpp PROPERTIES COMPILE_OPTIONS "-O3")
set_source_files_properties(cpu/linear_avx2.cpp PROPERTIES COMPILE_OPTIONS "-O3;-mavx2;-mfma")
set_source_files_properties(cpu/linear_avx512.cpp PROPERTIES
  COMPILE_OPTIONS "-O3;-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mfma")
