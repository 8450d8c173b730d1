// Attention kernels for keys of 2 bits.
#include "kernels/cuda/attend_launch.cuh"

namespace tq::kernels::cuda {

template Result<void> launch_attend_keys<2>(const AttendParams& params, Stream stream);

}  // namespace tq::kernels::cuda
