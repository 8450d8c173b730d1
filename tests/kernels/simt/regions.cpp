#include "tests/kernels/simt/regions.h"

#include <iterator>
#include <map>

namespace tq::kernels::simt {
namespace {

// Their ends, by their starts; lives as long as regions of static life.
std::map<const std::byte*, const std::byte*>& regions() {
  static auto* const ends = new std::map<const std::byte*, const std::byte*>;
  return *ends;
}

// The one that was found last; empty where that is not known to be a region any more.
struct Found {
  const std::byte* start = nullptr;
  const std::byte* end = nullptr;

  bool has(const std::byte* at, size_t n) const {
    return at >= start && at < end && n <= static_cast<size_t>(end - at);
  }
};
Found last;

}  // namespace

void add_region(const void* start, size_t n_bytes) {
  const auto* const first = static_cast<const std::byte*>(start);
  regions()[first] = first + n_bytes;
}

void remove_region(const void* start) {
  regions().erase(static_cast<const std::byte*>(start));
  last = {};
}

bool in_region(const void* at, size_t n_bytes) {
  const auto* const first = static_cast<const std::byte*>(at);
  if (last.has(first, n_bytes)) return true;
  const auto next = regions().upper_bound(first);
  if (next == regions().begin()) return false;
  const auto& [start, end] = *std::prev(next);
  last = {start, end};
  return last.has(first, n_bytes);
}

}  // namespace tq::kernels::simt
