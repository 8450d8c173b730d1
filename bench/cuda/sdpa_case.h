#pragma once
// SdpaCase: LibTorch's own attention on the shape of a DeviceCase: decode over bf16 rows, each
// sequence's in one piece, KV heads as they are (enable_gqa). LibTorch has several kernels for it,
// and the one it would choose need not be the fastest: there is a case for each. One thread.

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "kernels/device_layers.h"

namespace tq::models {
class TorchDevice;
}

namespace tq::bench {

struct SdpaShape {
  int head_dim = 128;
  int n_kv_heads = 8;
  int group = 4;  // query heads per KV head
  int n_seqs = 1;
  int context = 4096;
  int n_layers = 1;
};

class SdpaCase {
 public:
  virtual ~SdpaCase() = default;
  virtual std::string_view kernel()
      const = 0;  // "flash", "cudnn"; what LibTorch took, where neither
  virtual kernels::DeviceStream stream() const = 0;
  // Puts all layers on the stream. From the second call on it may be recorded: LibTorch then has
  // all memory that it takes.
  virtual Result<void> attend() = 0;
};

using SdpaCases = std::vector<std::unique_ptr<SdpaCase>>;

const char* libtorch_version() noexcept;  // "2.11.0"

// One for each of flash attention and cuDNN's that takes the shape, else one for what does. They
// share their rows. The device outlives them.
Result<SdpaCases> make_sdpa_cases(const SdpaShape& shape, const models::TorchDevice& device);

}  // namespace tq::bench
