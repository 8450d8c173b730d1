#pragma once
// Memories that should be equal, compared so that a failure is one number: Catch2 would print both
// of them, which takes minutes. Pure.

#include <algorithm>
#include <cstddef>
#include <vector>

namespace tq::kernels::test {

inline constexpr ptrdiff_t kNowhere = -1;

// The index of the first element that differs or that only one of them has.
template <class T>
ptrdiff_t first_difference(const std::vector<T>& a, const std::vector<T>& b) {
  const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return at == a.end() && other == b.end() ? kNowhere : at - a.begin();
}

}  // namespace tq::kernels::test
