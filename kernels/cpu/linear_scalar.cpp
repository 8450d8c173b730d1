#include <cstddef>
#include <cstdint>

#include "kernels/linear.h"

namespace tq::kernels::scalar {
constexpr int kRowsMax = 4;  // rows whose sums fit the registers
}

#define TQ_ISA scalar
#define TQ_VECTOR_BYTES 16
#include "kernels/cpu/linear_body.h"
