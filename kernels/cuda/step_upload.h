#pragma once
// StepUpload: what the kernels must know of one step, laid end to end, so that one copy brings it
// to the device. Made by plan(), read by every layer. Engine thread only.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/cuda/launch.h"
#include "kernels/paged_batch.h"
#include "kernels/tile_table.h"
#include "quant/block_layout.h"

namespace tq::kernels::cuda {

class StepUpload {
 public:
  // `batch` has passed check_batch().
  void build(const PagedBatch& batch, const quant::BlockLayout& layout);
  // One more array; its place in the upload.
  template <class T>
  size_t add(std::span<const T> values) {
    const size_t offset = (bytes_.size() + kAlignment - 1) / kAlignment * kAlignment;
    bytes_.resize(offset + values.size_bytes());
    if (!values.empty()) std::memcpy(bytes_.data() + offset, values.data(), values.size_bytes());
    return offset;
  }

  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  // The step, once bytes() have been copied to `device`.
  StepView view(const std::byte* device) const noexcept;

 private:
  static constexpr size_t kAlignment = 16;
  void place_tokens(const PagedBatch& batch, size_t seq);

  std::vector<std::byte> bytes_;
  TileTable tiles_;
  std::vector<TokenSlot> slots_;
  StepView shape_;  // counts only
  size_t token_indptr_ = 0, first_position_ = 0, hot_indptr_ = 0, hot_parts_ = 0, hot_first_ = 0;
  size_t sealed_indptr_ = 0, sealed_parts_ = 0, sealed_first_ = 0, token_slots_ = 0;
};

}  // namespace tq::kernels::cuda
