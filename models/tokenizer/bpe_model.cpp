#include "models/tokenizer/bpe_model.h"

#include <algorithm>
#include <limits>

#include "models/tokenizer/utf8.h"

namespace tq::models::text {
namespace {

// Up to here scanning for the best pair beats a heap; the two orders are the same.
constexpr size_t kShortSymbols = 48;
// Symbol indices are 32 bit. A longer piece is cut, which no server's body limit allows anyway.
constexpr size_t kPieceBytesMax = size_t{1} << 30;

constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();
constexpr int32_t kUnknownSymbol = -1;  // a character of no id: never merges

// std::push_heap keeps the greatest in front: "greater" is the better candidate.
bool worse(const BpeModel::Candidate& a, const BpeModel::Candidate& b) noexcept {
  return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
}

}  // namespace

void BpeModel::encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const {
  while (piece.size() > kPieceBytesMax) {
    size_t cut = kPieceBytesMax;
    while ((static_cast<unsigned char>(piece[cut]) & 0xC0) == 0x80 && cut > 1) --cut;
    encode(piece.substr(0, cut), scratch, out);
    piece.remove_prefix(cut);
  }
  if (!tables_.whole.empty()) {
    if (const auto it = tables_.whole.find(piece); it != tables_.whole.end()) {
      out.push_back(it->second);
      return;
    }
  }
  split_symbols(piece, scratch.ids);
  if (scratch.ids.size() <= kShortSymbols) {
    merge_short(scratch);
  } else {
    merge_long(scratch);
  }
  emit(scratch.ids, out);
}

void BpeModel::encode_stray_byte(unsigned char byte, std::vector<TokenId>& out) const {
  if (tables_.byte_ids[byte] >= 0) {
    out.push_back(tables_.byte_ids[byte]);
  } else if (tables_.unk >= 0) {
    out.push_back(tables_.unk);
  }
}

void BpeModel::split_symbols(std::string_view piece, std::vector<int32_t>& ids) const {
  ids.clear();
  if (tables_.byte_level) {
    for (const char c : piece) {
      const TokenId id = tables_.byte_ids[static_cast<unsigned char>(c)];
      if (id >= 0) {
        ids.push_back(id);
      } else if (tables_.unk >= 0) {
        ids.push_back(kUnknownSymbol);
      }
    }
    return;
  }
  for (size_t at = 0; at < piece.size();) {
    const CodePoint point = decode_utf8(piece, at);
    const std::string_view bytes = piece.substr(at, point.n_bytes);
    at += point.n_bytes;
    if (const auto it = tables_.char_ids.find(point.value); it != tables_.char_ids.end()) {
      ids.push_back(it->second);
      continue;
    }
    const bool has_bytes = std::all_of(bytes.begin(), bytes.end(), [&](char c) {
      return tables_.byte_ids[static_cast<unsigned char>(c)] >= 0;
    });
    if (has_bytes) {
      for (const char c : bytes) ids.push_back(tables_.byte_ids[static_cast<unsigned char>(c)]);
    } else if (tables_.unk >= 0) {
      ids.push_back(kUnknownSymbol);
    }
  }
}

void BpeModel::merge_short(Scratch& scratch) const {
  std::vector<int32_t>& ids = scratch.ids;
  std::vector<int32_t>& ranks = scratch.ranks;  // ranks[i]: of the pair (i, i + 1)
  if (ids.size() < 2) return;
  const auto rank_at = [&](size_t i) {
    const MergeTable::Hit* hit = tables_.merges.find(ids[i], ids[i + 1]);
    return hit == nullptr ? kNoRank : hit->rank;
  };
  ranks.resize(ids.size() - 1);
  for (size_t i = 0; i < ranks.size(); ++i) ranks[i] = rank_at(i);
  while (!ranks.empty()) {
    const auto best = std::min_element(ranks.begin(), ranks.end());  // the leftmost of equals
    if (*best == kNoRank) break;
    const auto at = static_cast<size_t>(best - ranks.begin());
    ids[at] = tables_.merges.find(ids[at], ids[at + 1])->merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    ranks.erase(best);
    if (at < ranks.size()) ranks[at] = rank_at(at);
    if (at > 0) ranks[at - 1] = rank_at(at - 1);
  }
}

void BpeModel::push_candidate(Scratch& scratch, int32_t at) const {
  if (at < 0) return;
  const Symbol& left = scratch.symbols[static_cast<size_t>(at)];
  if (left.next < 0) return;
  const int32_t right_id = scratch.symbols[static_cast<size_t>(left.next)].id;
  const MergeTable::Hit* hit = tables_.merges.find(left.id, right_id);
  if (hit == nullptr) return;
  scratch.heap.push_back({hit->rank, at, left.id, right_id});
}

void BpeModel::merge_long(Scratch& scratch) const {
  auto& [symbols, heap, ids, ranks] = scratch;
  const auto n = static_cast<int32_t>(ids.size());
  symbols.resize(ids.size());
  for (int32_t i = 0; i < n; ++i) {
    symbols[static_cast<size_t>(i)] = {ids[static_cast<size_t>(i)], i - 1, i + 1 < n ? i + 1 : -1};
  }
  heap.clear();
  for (int32_t i = 0; i + 1 < n; ++i) push_candidate(scratch, i);
  std::make_heap(heap.begin(), heap.end(), worse);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), worse);
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = symbols[static_cast<size_t>(best.at)];
    if (left.id != best.left || left.next < 0) continue;  // merged away since it was pushed
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    if (right.id != best.right) continue;
    left.id = tables_.merges.find(best.left, best.right)->merged;
    left.next = right.next;
    right.id = kUnknownSymbol;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.at;
    for (const int32_t at : {left.previous, best.at}) {
      const size_t before = heap.size();
      push_candidate(scratch, at);
      if (heap.size() > before) std::push_heap(heap.begin(), heap.end(), worse);
    }
  }
  ids.clear();
  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next) {
    ids.push_back(symbols[static_cast<size_t>(i)].id);
  }
}

// Appends unk, unless one that this piece, beginning at out[begin], just appended stands for it
// too.
void BpeModel::append_unknown(size_t begin, std::vector<TokenId>& out) const {
  if (tables_.unk < 0) return;
  if (tables_.fuse_unk && out.size() > begin && out.back() == tables_.unk) return;
  out.push_back(tables_.unk);
}

void BpeModel::emit(const std::vector<int32_t>& ids, std::vector<TokenId>& out) const {
  const size_t begin = out.size();
  std::string bytes;
  for (const int32_t id : ids) {
    if (id == kUnknownSymbol) {
      append_unknown(begin, out);
    } else if (id < tables_.n_vocab) {
      out.push_back(id);
    } else {
      bytes.clear();
      append_utf8(bytes, tables_.inner_chars[static_cast<size_t>(id - tables_.n_vocab)]);
      const bool has_bytes = std::all_of(bytes.begin(), bytes.end(), [&](char c) {
        return tables_.byte_ids[static_cast<unsigned char>(c)] >= 0;
      });
      if (!has_bytes) {
        append_unknown(begin, out);
        continue;
      }
      for (const char c : bytes) out.push_back(tables_.byte_ids[static_cast<unsigned char>(c)]);
    }
  }
}

}  // namespace tq::models::text
