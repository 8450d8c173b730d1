#include <cstddef>
#include <cstdint>

#include "kernels/linear.h"

namespace tq::kernels::avx2 {
constexpr int kRowsMax = 4;  // rows whose sums fit the registers
}

#define TQ_ISA avx2
#define TQ_VECTOR_BYTES 32
#include "kernels/cpu/linear_body.h"
