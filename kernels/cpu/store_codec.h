#pragma once
// StoreCodec: how rows enter the KV store: rotation, hot tiles, sealed tiles, by the obvious loops
// over quant/. The scalar backend is made of it; the others must leave the same bytes. Immutable;
// any thread.

#include <cstddef>
#include <optional>
#include <span>

#include "config/ids.h"
#include "config/result.h"
#include "kernels/kv_arena.h"
#include "kernels/paged_attention.h"
#include "quant/block_layout.h"
#include "quant/rotation.h"
#include "quant/row_codec.h"

namespace tq::kernels::cpu {

class StoreCodec {
 public:
  static Result<StoreCodec> create(const AttentionOptions& options);

  const quant::BlockLayout& layout() const noexcept { return layout_; }
  // Null where both formats are bf16: such a store is not rotated.
  const quant::Rotation* rotation() const noexcept { return rotation_ ? &*rotation_ : nullptr; }
  // Null where that half is bf16.
  const quant::RowCodec* k_codec() const noexcept { return k_codec_ ? &*k_codec_ : nullptr; }
  const quant::RowCodec* v_codec() const noexcept { return v_codec_ ? &*v_codec_ : nullptr; }

  // Writes one token's rows of all KV heads into `slot` of a hot block, in one layer.
  // k, v [n_kv_heads, head_dim], not rotated.
  struct Slot {
    LayerIdx layer = 0;
    BlockId block = kNoBlock;
    int slot = 0;
  };
  void append_token(const KvArena& arena,
                    const Slot& slot,
                    std::span<const float> k,
                    std::span<const float> v) const noexcept;

  // Codes all rows of a full hot block in all layers. kInternal where one holds NaN or infinity.
  Result<void> seal(const SealCall& call) const;

 private:
  StoreCodec(const quant::BlockLayout& layout) : layout_(layout) {}

  quant::BlockLayout layout_;
  std::optional<quant::Rotation> rotation_;
  std::optional<quant::RowCodec> k_codec_;
  std::optional<quant::RowCodec> v_codec_;
};

}  // namespace tq::kernels::cpu
