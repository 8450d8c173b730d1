// Attention kernels for keys of 4 bits.
#include "kernels/cuda/attend_launch.cuh"

namespace tq::kernels::cuda {

template Result<void> launch_attend_keys<4>(const AttendParams& params, Stream stream);

}  // namespace tq::kernels::cuda
