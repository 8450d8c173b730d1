#pragma once
// Identities that never mix. Plain values; any thread.

#include <cstdint>
#include <functional>

namespace tq {

enum class SeqId : uint64_t {};   // one sequence in the engine; never reused within a process
enum class BlockId : int32_t {};  // index of a KV block inside one of the two pools
using TokenId = int32_t;          // index into the vocabulary; arithmetic is legitimate
using LayerIdx = int32_t;         // decoder layer, from 0

inline constexpr BlockId kNoBlock{-1};

constexpr uint64_t raw(SeqId id) { return static_cast<uint64_t>(id); }
constexpr int32_t raw(BlockId id) { return static_cast<int32_t>(id); }

}  // namespace tq

template <>
struct std::hash<tq::SeqId> {
  size_t operator()(tq::SeqId id) const noexcept { return std::hash<uint64_t>{}(tq::raw(id)); }
};
template <>
struct std::hash<tq::BlockId> {
  size_t operator()(tq::BlockId id) const noexcept { return std::hash<int32_t>{}(tq::raw(id)); }
};
