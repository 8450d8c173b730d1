#pragma once
// How the tables of operations are written: a function of one lane's values becomes an operation
// over a warp. One thread.

#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "tests/kernels/ptx/machine.h"

namespace tq::kernels::ptx {

using Table = std::unordered_map<std::string, Operation>;

Table arithmetic();
Table conversions();
Table memory_accesses();
Table meetings();

template <class T>
inline constexpr int kSizeOf = sizeof(T);
template <>
inline constexpr int kSizeOf<bool> = kPredicate;

template <class Use>
void for_lanes(uint32_t lanes, Use use) {
  if (lanes == kAllLanes) {
    for (int lane = 0; lane < kLanes; ++lane) use(lane);
  } else {
    for (uint32_t left = lanes; left != 0; left &= left - 1) use(__builtin_ctz(left));
  }
}

// One operand of a warp, for each lane.
template <class T>
class Values {
 public:
  Values(const Warp& warp, uint32_t operand) : warp_(warp), operand_(operand) {}
  T operator[](int lane) const { return warp_.get<T>(operand_, lane); }

 private:
  const Warp& warp_;
  uint32_t operand_;
};
template <>
class Values<bool> {
 public:
  Values(const Warp& warp, uint32_t operand) : bits_(warp.bits(operand)) {}
  bool operator[](int lane) const { return (bits_ >> lane & 1u) != 0; }

 private:
  uint32_t bits_;
};

template <class F, class Result, class... Arguments>
struct PerLane {
  static void run(Warp& warp, const Instruction& at, uint32_t lanes) {
    [&]<size_t... kIdx>(std::index_sequence<kIdx...>) {
      const std::tuple<Values<Arguments>...> values{
          Values<Arguments>(warp, at.operands[kIdx + 1])...};
      const uint32_t out = at.operands[0];
      if constexpr (std::is_same_v<Result, bool>) {
        uint32_t bits = 0;
        for_lanes(lanes, [&](int lane) {
          bits |= static_cast<uint32_t>(F{}(std::get<kIdx>(values)[lane]...)) << lane;
        });
        warp.set_bits(out, bits, lanes);
      } else {
        for_lanes(lanes, [&](int lane) {
          warp.set<Result>(out, lane, F{}(std::get<kIdx>(values)[lane]...));
        });
      }
    }
    (std::index_sequence_for<Arguments...>{});
  }
};

template <class F, class Result, class... Arguments>
Operation per_lane(F, Result (F::*)(Arguments...) const) {
  return {.run = PerLane<F, Result, Arguments...>::run,
          .sizes = {kSizeOf<Result>, kSizeOf<Arguments>...}};
}
// Of a lambda without captures; its types are those of the operands.
template <class F>
Operation per_lane(F function) {
  return per_lane(function, &F::operator());
}

}  // namespace tq::kernels::ptx
