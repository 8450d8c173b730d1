// The CUDA backend of a build without CUDA: known, but it contributes nothing.
#include "kernels/backend_list.h"

namespace tq::kernels {

BackendEntry cuda_backend() noexcept {
  return {.name = "cuda",
          .missing = "this build has no CUDA backend; build with -DTQ_CUDA=ON",
          .make = nullptr,
          .make_on_device = nullptr,
          .make_layers = nullptr,
          .make_select = nullptr,
          .layer = {}};
}

}  // namespace tq::kernels
