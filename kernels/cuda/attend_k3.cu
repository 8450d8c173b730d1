// Attention kernels for keys of 3 bits.
#include "kernels/cuda/attend_launch.cuh"

namespace tq::kernels::cuda {

template Result<void> launch_attend_keys<3>(const AttendParams& params, Stream stream);

}  // namespace tq::kernels::cuda
