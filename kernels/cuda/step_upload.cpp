#include "kernels/cuda/step_upload.h"

#include <algorithm>

#include "config/ids.h"
#include "kernels/batch_check.h"
#include "kernels/cuda/store_view.h"

namespace tq::kernels::cuda {
namespace {

template <class T>
std::span<const T> all(const std::vector<T>& values) {
  return values;
}

}  // namespace

void StepUpload::build(const PagedBatch& batch, const quant::BlockLayout& layout) {
  const auto add_parts = [&](std::span<const BlockId> blocks) {
    parts_.clear();
    for (const BlockId block : blocks) parts_.push_back(part_of(layout, block));
    return add(all(parts_));
  };
  bytes_.clear();
  sealed_first_.clear();
  slots_.clear();
  for (size_t s = 0; s < static_cast<size_t>(batch.n_seqs); ++s) {
    sealed_positions(batch, s, layout.block_tokens(), sealed_first_);
    place_tokens(batch, s, layout);
  }
  shape_.n_tokens = batch.n_tokens;
  shape_.n_seqs = batch.n_seqs;
  token_indptr_ = add(all(batch.token_indptr));
  first_position_ = add(all(batch.first_position));
  hot_indptr_ = add(all(batch.hot_indptr));
  hot_blocks_ = add_parts(batch.hot_blocks);
  hot_first_ = add(all(batch.hot_first));
  sealed_indptr_ = add(all(batch.sealed_indptr));
  sealed_blocks_ = add_parts(batch.sealed_blocks);
  sealed_positions_ = add(all(sealed_first_));
  token_slots_ = add(all(slots_));
}

void StepUpload::place_tokens(const PagedBatch& batch,
                              size_t seq,
                              const quant::BlockLayout& layout) {
  const int block_tokens = layout.block_tokens();
  const int64_t first = batch.first_position[seq];
  const int64_t end = first + batch.token_indptr[seq + 1] - batch.token_indptr[seq];
  int64_t position = first;
  for (int32_t i = batch.hot_indptr[seq]; i < batch.hot_indptr[seq + 1]; ++i) {
    const auto h = static_cast<size_t>(i);
    const int64_t start = batch.hot_first[h];
    for (; position >= start && position < std::min(start + block_tokens, end); ++position) {
      slots_.push_back({.block = part_of(layout, batch.hot_blocks[h]),
                        .slot = static_cast<int32_t>(position - start),
                        .clears_next = position % 2 == 0 && position + 1 == end ? 1 : 0});
    }
  }
}

StepView StepUpload::view(const std::byte* device) const noexcept {
  const auto ints = [device](size_t offset) {
    return reinterpret_cast<const int32_t*>(device + offset);
  };
  StepView view = shape_;
  view.token_indptr = ints(token_indptr_);
  view.first_position = ints(first_position_);
  view.hot_indptr = ints(hot_indptr_);
  view.hot_blocks = ints(hot_blocks_);
  view.hot_first = ints(hot_first_);
  view.sealed_indptr = ints(sealed_indptr_);
  view.sealed_blocks = ints(sealed_blocks_);
  view.sealed_first = ints(sealed_positions_);
  view.slots = reinterpret_cast<const TokenSlot*>(device + token_slots_);
  return view;
}

}  // namespace tq::kernels::cuda
