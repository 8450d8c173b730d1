#include "kernels/cuda/step_upload.h"

#include <algorithm>

namespace tq::kernels::cuda {
namespace {

template <class T>
std::span<const T> all(const std::vector<T>& values) {
  return values;
}

}  // namespace

void StepUpload::build(const PagedBatch& batch, const quant::BlockLayout& layout) {
  bytes_.clear();
  slots_.clear();
  tiles_.build(batch, layout);
  for (size_t s = 0; s < static_cast<size_t>(batch.n_seqs); ++s) place_tokens(batch, s);
  shape_.n_tokens = batch.n_tokens;
  shape_.n_seqs = batch.n_seqs;
  token_indptr_ = add(all(batch.token_indptr));
  first_position_ = add(all(batch.first_position));
  hot_indptr_ = add(all(tiles_.hot.indptr));
  hot_parts_ = add(all(tiles_.hot.parts));
  hot_first_ = add(all(tiles_.hot.positions));
  sealed_indptr_ = add(all(tiles_.sealed.indptr));
  sealed_parts_ = add(all(tiles_.sealed.parts));
  sealed_first_ = add(all(tiles_.sealed.positions));
  token_slots_ = add(all(slots_));
}

void StepUpload::place_tokens(const PagedBatch& batch, size_t seq) {
  const int64_t end =
      int64_t{batch.first_position[seq]} + batch.token_indptr[seq + 1] - batch.token_indptr[seq];
  int64_t position = batch.first_position[seq];
  for (auto i = static_cast<size_t>(tiles_.hot.indptr[seq]);
       i < static_cast<size_t>(tiles_.hot.indptr[seq + 1]); ++i) {
    const int64_t start = tiles_.hot.positions[i];
    for (; position >= start && position < std::min(start + kTile, end); ++position) {
      slots_.push_back({.part = tiles_.hot.parts[i],
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
  view.hot_parts = ints(hot_parts_);
  view.hot_first = ints(hot_first_);
  view.sealed_indptr = ints(sealed_indptr_);
  view.sealed_parts = ints(sealed_parts_);
  view.sealed_first = ints(sealed_first_);
  view.slots = reinterpret_cast<const TokenSlot*>(device + token_slots_);
  return view;
}

}  // namespace tq::kernels::cuda
