#pragma once
// BlockPool hands out the ids of KV blocks in the two pools, counts references, and keeps the
// prefix index: which cached block holds which tokens after which prefix. Engine thread only. It
// never sees bytes.
//
// An index entry is one logical block: its tokens and everything before them, since it names its
// parent entry. Look-ups walk from the root and compare tokens, so a hash collision cannot give a
// foreign block. An entry has a hot and/or a sealed version. A block with references is never taken
// away; one without is cached while an entry names it. An entry without versions goes, with all
// entries below it: nothing could reach them any more.
//
// Taken are free blocks and, where these are less than an eighth of the pool, the least recently
// used cached ones up to that: a choice from which a sequence gets what lies beside its last block
// (engine/block_choice.h) also when the cache fills the pool. Each is found by its prefix until it
// is taken.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "engine/block_choice.h"
#include "kernels/kv_arena.h"

namespace tq::engine {

enum class Pool : uint8_t { kHot, kSealed };

using EntryIdx = int32_t;
inline constexpr EntryIdx kNoEntry = -1;  // as a parent: the empty prefix

class BlockPool {
 public:
  BlockPool(kernels::PoolSizes sizes, int block_tokens);

  // A block with one reference, free or evicted; if it can be, the one after `previous` (kNoBlock:
  // there is none); nothing if all blocks of the pool are referenced.
  std::optional<BlockId> allocate(Pool pool, BlockId previous);
  void ref(Pool pool, BlockId block);
  void unref(Pool pool, BlockId block);  // the last one: cached if an entry names it, else free

  int32_t total(Pool pool) const noexcept;
  int32_t used(Pool pool) const noexcept;       // referenced
  int32_t available(Pool pool) const noexcept;  // allocate() would succeed so many times
  int32_t refs(Pool pool, BlockId block) const noexcept;

  // The entry of `tokens` (one full block) after `parent`, or kNoEntry.
  EntryIdx find(EntryIdx parent, std::span<const TokenId> tokens) const noexcept;
  BlockId version(Pool pool, EntryIdx entry) const noexcept;  // kNoBlock: none

  // Makes a referenced block a version of `tokens` after `parent`. If the entry already has one in
  // this pool, the caller's reference moves to that and its own block is released. The caller holds
  // a version of every ancestor.
  struct Published {
    EntryIdx entry = kNoEntry;
    BlockId block = kNoBlock;
  };
  Published publish(Pool pool, EntryIdx parent, std::span<const TokenId> tokens, BlockId block);
  // The same for a sealed version of an entry that the caller holds a version of.
  BlockId publish_sealed(EntryIdx entry, BlockId sealed);

  // Drops an entry whose content is in doubt, and says whether it could: there must be no entries
  // below it and no references to its versions.
  bool forget(EntryIdx entry);

  int32_t n_entries() const noexcept { return n_entries_; }
  Result<void> check_invariants() const;

 private:
  struct Block {
    int32_t refs = 0;
    EntryIdx entry = kNoEntry;
    int32_t previous = -1;  // in the list of cached blocks
    int32_t next = -1;
    bool cached = false;
  };
  struct Shelf {  // one pool
    explicit Shelf(int32_t n_blocks) : open(n_blocks), blocks(static_cast<size_t>(n_blocks)) {}

    BlockChoice open;  // those that may be taken
    std::vector<Block> blocks;
    int32_t oldest = -1;  // ends of the list of cached blocks
    int32_t newest = -1;
    int32_t first_kept = -1;  // of that list: those before it are open
    int32_t n_used = 0;
  };
  struct Entry {
    uint64_t hash = 0;
    EntryIdx parent = kNoEntry;
    EntryIdx first_child = kNoEntry;
    EntryIdx previous_sibling = kNoEntry;
    EntryIdx next_sibling = kNoEntry;
    EntryIdx next_in_bucket = kNoEntry;
    std::array<BlockId, 2> versions{kNoBlock, kNoBlock};
    bool live = false;
  };

  Shelf& shelf(Pool pool) noexcept { return shelves_[static_cast<size_t>(pool)]; }
  const Shelf& shelf(Pool pool) const noexcept { return shelves_[static_cast<size_t>(pool)]; }
  Block& at(Pool pool, BlockId block);
  static void open_oldest(Shelf& shelf);
  void cache(Shelf& shelf, int32_t idx);
  void uncache(Shelf& shelf, int32_t idx);
  BlockId keep(Pool pool, EntryIdx entry, BlockId block);

  uint64_t hash_of(EntryIdx parent, std::span<const TokenId> tokens) const noexcept;
  std::span<const TokenId> tokens_of(EntryIdx entry) const noexcept;
  size_t bucket_of(uint64_t hash) const noexcept { return hash & (buckets_.size() - 1); }
  EntryIdx add_entry(EntryIdx parent, std::span<const TokenId> tokens);
  void unlink(EntryIdx entry);
  void drop_version(Pool pool, EntryIdx entry);  // ends the entry if it was the last
  void end_with_descendants(EntryIdx entry);

  Result<void> check_shelf(Pool pool) const;

  std::array<Shelf, 2> shelves_;
  int block_tokens_;
  std::vector<Entry> entries_;
  std::vector<TokenId> entry_tokens_;  // [entries, block_tokens]
  std::vector<EntryIdx> free_entries_;
  std::vector<EntryIdx> buckets_;  // power of two
  std::vector<EntryIdx> doomed_;   // workspace of end_with_descendants()
  int32_t n_entries_ = 0;
};

}  // namespace tq::engine
