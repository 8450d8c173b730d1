// The linear kernel's AVX-512 shape (64-byte vectors, eight rows), compiled for this machine: the
// compiler splits the vectors, so that a machine without AVX-512 tests its tiles too.
#include <cstddef>
#include <cstdint>

#include "kernels/linear.h"

namespace tq::kernels::avx512_emulated {
constexpr int kRowsMax = 8;
}

#define TQ_ISA avx512_emulated
#define TQ_VECTOR_BYTES 64
#include "kernels/cpu/linear_body.h"
