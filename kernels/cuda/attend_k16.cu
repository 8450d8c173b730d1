// Attention kernels for keys of 16 bits.
#include "kernels/cuda/attend_launch.cuh"

namespace tq::kernels::cuda {

template Result<void> launch_attend_keys<16>(const AttendParams& params, Stream stream);

}  // namespace tq::kernels::cuda
