// What the lanes of a warp do together, by the tables and fragments of the PTX ISA.
#include "quant/float16.h"
#include "tests/kernels/ptx/operations.h"

namespace tq::kernels::ptx {
namespace {

// shfl: d|p, a, b, c, mask. `from(lane, b)` is the lane whose a is taken, where the segment that c
// names has it.
template <class From>
void shuffle(Warp& warp, const Instruction& at, uint32_t lanes) {
  const uint32_t a = at.operands[2], b = at.operands[3], c = at.operands[4];
  uint32_t taken[kLanes] = {};
  uint32_t bits = 0;
  for_lanes(lanes, [&](int lane) {
    const uint32_t own = static_cast<uint32_t>(lane);
    const uint32_t limits = warp.get<uint32_t>(c, lane);
    const uint32_t segment = limits >> 8 & 31u, clamp = limits & 31u;
    const uint32_t last = (own & segment) | (clamp & ~segment);
    uint32_t from = From{}(own, warp.get<uint32_t>(b, lane) & 31u, segment);
    const bool is_inside = from <= last;
    if (!is_inside) from = own;
    if ((lanes >> from & 1u) == 0) warp.fail("takes the value of a lane that is absent", at, lane);
    bits |= static_cast<uint32_t>(is_inside) << lane;
    taken[lane] = warp.get<uint32_t>(a, static_cast<int>(from));
  });
  for_lanes(lanes, [&](int lane) { warp.set(at.operands[0], lane, taken[lane]); });
  warp.set_bits(at.operands[1], bits, lanes);
}
template <class From>
Operation shuffle(From) {
  return {.run = shuffle<From>, .kind = Kind::kMeeting, .sizes = {4, kPredicate, 4, 4, 4, 4}};
}

void vote_any(Warp& warp, const Instruction& at, uint32_t lanes) {
  const bool any = (warp.bits(at.operands[1]) & lanes) != 0;
  warp.set_bits(at.operands[0], any ? kAllLanes : 0, lanes);
}

// Lane 4g + t holds entries 2t and 2t + 1 of row g.
void transpose(Warp& warp, const Instruction& at, uint32_t) {
  uint16_t matrix[8][8];
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto row = warp.get<uint32_t>(at.operands[1], lane);
    matrix[lane / 4][lane % 4 * 2] = static_cast<uint16_t>(row);
    matrix[lane / 4][lane % 4 * 2 + 1] = static_cast<uint16_t>(row >> 16);
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    const uint32_t high = matrix[lane % 4 * 2 + 1][lane / 4];
    warp.set(at.operands[0], lane, high << 16 | matrix[lane % 4 * 2][lane / 4]);
  }
}

struct Bf16 {
  using Sum = float;
  using Total = double;              // the order of additions is the device's own
  static constexpr int kDepths = 2;  // of a register
  static double entry(uint32_t word, int i) {
    return quant::bf16_to_float(static_cast<uint16_t>(word >> 16 * i));
  }
};
struct S8 {
  using Sum = int32_t;
  using Total = int32_t;
  static constexpr int kDepths = 4;
  static int32_t entry(uint32_t word, int i) { return static_cast<int8_t>(word >> 8 * i); }
};

// D[16][8] = A[16][8 kDepths] B + C. Operands: 4 registers of D, 4 of A, 2 of B, 4 of C. Of lane
// 4g + t: row g (and g + 8, in registers 1 and 3) of A, column g of B, columns 2t and 2t + 1 of C;
// depths from t kDepths on, and those 4 kDepths further on in A's registers 2 and 3, B's 1.
template <class Type>
void multiply(Warp& warp, const Instruction& at, uint32_t) {
  constexpr int kDepths = Type::kDepths;
  typename Type::Total a[16][8 * kDepths], b[8 * kDepths][8];
  for (int lane = 0; lane < kLanes; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int part = 0; part < 4; ++part) {
      const auto word = warp.get<uint32_t>(at.operands[4 + part], lane);
      const int first = (part / 2 * 4 + t) * kDepths;
      for (int i = 0; i < kDepths; ++i) a[g + part % 2 * 8][first + i] = Type::entry(word, i);
    }
    for (int part = 0; part < 2; ++part) {
      const auto word = warp.get<uint32_t>(at.operands[8 + part], lane);
      for (int i = 0; i < kDepths; ++i) b[(part * 4 + t) * kDepths + i][g] = Type::entry(word, i);
    }
  }
  typename Type::Sum sums[16][8];
  for (int row = 0; row < 16; ++row) {
    typename Type::Total totals[8];
    for (int column = 0; column < 8; ++column) {
      const int lane = row % 8 * 4 + column / 2;
      totals[column] =
          warp.get<typename Type::Sum>(at.operands[10 + row / 8 * 2 + column % 2], lane);
    }
    for (int depth = 0; depth < 8 * kDepths; ++depth) {
      for (int column = 0; column < 8; ++column) totals[column] += a[row][depth] * b[depth][column];
    }
    for (int column = 0; column < 8; ++column) {
      sums[row][column] = static_cast<typename Type::Sum>(totals[column]);
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < 4; ++i) {
      warp.set(at.operands[i], lane, sums[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2]);
    }
  }
}

}  // namespace

Table meetings() {
  Table table;
  table["shfl.sync.bfly.b32"] =
      shuffle([](uint32_t lane, uint32_t b, uint32_t) { return lane ^ b; });
  table["shfl.sync.idx.b32"] = shuffle([](uint32_t lane, uint32_t b, uint32_t segment) {
    return (lane & segment) | (b & ~segment);
  });
  table["vote.sync.any.pred"] = {
      .run = vote_any, .kind = Kind::kMeeting, .sizes = {kPredicate, kPredicate, 4}};
  table["bar.warp.sync"] = {
      .run = [](Warp& warp, const Instruction&, uint32_t) { warp.order_memory(); },
      .kind = Kind::kMeeting,
      .sizes = {4}};
  table["movmatrix.sync.aligned.m8n8.trans.b16"] = {
      .run = transpose, .kind = Kind::kAligned, .sizes = {4, 4}};
  const std::vector<int> fragments(kOperandsMax, 4);
  table["mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"] = {
      .run = multiply<Bf16>, .kind = Kind::kAligned, .sizes = fragments};
  table["mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32"] = {
      .run = multiply<S8>, .kind = Kind::kAligned, .sizes = fragments};
  table["bar.sync"] = {.kind = Kind::kBarrier, .sizes = {4}};
  table["pmevent"] = {.run = [](Warp&, const Instruction&, uint32_t) {}, .sizes = {4}};
  return table;
}

}  // namespace tq::kernels::ptx
