#include <cstddef>
#include <cstdint>

#include "kernels/linear.h"

namespace tq::kernels::avx512 {
constexpr int kRowsMax = 8;  // rows whose sums fit the registers
}

#define TQ_ISA avx512
#define TQ_VECTOR_BYTES 64
#include "kernels/cpu/linear_body.h"
