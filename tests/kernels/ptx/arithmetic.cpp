// Arithmetic, comparisons, selections and moves.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>

#include "tests/kernels/ptx/operations.h"

namespace tq::kernels::ptx {
namespace {

using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using f32 = float;

// Results wrap: made of unsigned words.
template <class T>
void add_integers(Table& table, const std::string& type) {
  using Wide = std::conditional_t<sizeof(T) == 2, s32, s64>;
  using Unsigned = std::make_unsigned_t<Wide>;
  const auto wrap = [](auto a) { return static_cast<T>(a); };
  using Wrap = decltype(wrap);
  table["add." + type] = per_lane([](T a, T b) { return Wrap{}(Unsigned(a) + Unsigned(b)); });
  table["sub." + type] = per_lane([](T a, T b) { return Wrap{}(Unsigned(a) - Unsigned(b)); });
  table["mul.lo." + type] = per_lane([](T a, T b) { return Wrap{}(Unsigned(a) * Unsigned(b)); });
  table["mad.lo." + type] =
      per_lane([](T a, T b, T c) { return Wrap{}(Unsigned(a) * Unsigned(b) + Unsigned(c)); });
  table["min." + type] = per_lane([](T a, T b) { return std::min(a, b); });
  table["max." + type] = per_lane([](T a, T b) { return std::max(a, b); });
  // What a division by 0 gives is not defined; so it is seen.
  table["div." + type] =
      per_lane([](T a, T b) { return b == 0 ? T(0x5a5a) : Wrap{}(Wide(a) / Wide(b)); });
  table["rem." + type] =
      per_lane([](T a, T b) { return b == 0 ? T(0x5a5a) : Wrap{}(Wide(a) % Wide(b)); });
  table["shr." + type] = per_lane([](T a, u32 n) {
    constexpr u32 kBits = 8 * sizeof(T);
    return Wrap{}(Wide(a) >> std::min(n, kBits - 1) >> (n >= kBits ? 1 : 0));
  });
}

template <class T>
void add_bits(Table& table, const std::string& type) {
  table["and." + type] = per_lane([](T a, T b) { return static_cast<T>(a & b); });
  table["or." + type] = per_lane([](T a, T b) { return static_cast<T>(a | b); });
  table["xor." + type] = per_lane([](T a, T b) { return static_cast<T>(a ^ b); });
  if constexpr (std::is_same_v<T, bool>) {
    table["not." + type] = per_lane([](T a) { return !a; });
  } else {
    table["not." + type] = per_lane([](T a) { return static_cast<T>(~a); });
    table["shl." + type] = per_lane(
        [](T a, u32 n) { return n >= 8 * sizeof(T) ? T(0) : static_cast<T>(u64(a) << n); });
  }
}

template <class T>
void add_comparisons(Table& table, const std::string& type) {
  table["setp.eq." + type] = per_lane([](T a, T b) { return a == b; });
  table["setp.ne." + type] = per_lane([](T a, T b) { return a < b || b < a; });  // not of NaN
  table["setp.lt." + type] = per_lane([](T a, T b) { return a < b; });
  table["setp.le." + type] = per_lane([](T a, T b) { return a <= b; });
  table["setp.gt." + type] = per_lane([](T a, T b) { return a > b; });
  table["setp.ge." + type] = per_lane([](T a, T b) { return a >= b; });
}

template <class T>
void add_moves(Table& table, const std::string& type) {
  table["mov." + type] = per_lane([](T a) { return a; });
  table["selp." + type] = per_lane([](T a, T b, bool first) { return first ? a : b; });
}

// mov.b32 {%rs1, %rs2}, %r1: the low half first.
void unpack(Warp& warp, const Instruction& at, uint32_t lanes) {
  for_lanes(lanes, [&](int lane) {
    const auto word = warp.get<u32>(at.operands[2], lane);
    warp.set(at.operands[0], lane, static_cast<u16>(word));
    warp.set(at.operands[1], lane, static_cast<u16>(word >> 16));
  });
}

template <class Wide, class T>
void add_wide(Table& table, const std::string& type) {
  table["mul.wide." + type] = per_lane([](T a, T b) { return static_cast<Wide>(Wide(a) * b); });
  table["mad.wide." + type] = per_lane(
      [](T a, T b, Wide c) { return static_cast<Wide>(uint64_t(Wide(a) * b) + uint64_t(c)); });
}

// The one mode of rounding but to the nearest.
f32 fma_down(f32 a, f32 b, f32 c) {
  std::fesetround(FE_DOWNWARD);
  volatile f32 x = a, y = b, z = c;
  const volatile f32 sum = std::fma(x, y, z);
  std::fesetround(FE_TONEAREST);
  return sum;
}

// Of two numbers one of which is NaN, the other.
f32 smaller(f32 a, f32 b) { return std::fmin(a, b); }
f32 larger(f32 a, f32 b) { return std::fmax(a, b); }

f32 flushed(f32 a) {
  return std::fabs(a) < std::numeric_limits<f32>::min() ? std::copysign(0.0f, a) : a;
}

void add_floats(Table& table) {
  for (const std::string rounding : {"", "rn."}) {
    table["add." + rounding + "f32"] = per_lane([](f32 a, f32 b) { return a + b; });
    table["sub." + rounding + "f32"] = per_lane([](f32 a, f32 b) { return a - b; });
    table["mul." + rounding + "f32"] = per_lane([](f32 a, f32 b) { return a * b; });
  }
  table["fma.rn.f32"] = per_lane([](f32 a, f32 b, f32 c) { return std::fma(a, b, c); });
  table["fma.rm.f32"] = per_lane([](f32 a, f32 b, f32 c) { return fma_down(a, b, c); });
  table["div.rn.f32"] = per_lane([](f32 a, f32 b) { return a / b; });
  table["div.approx.f32"] = table["div.rn.f32"];
  table["rcp.rn.f32"] = per_lane([](f32 a) { return 1.0f / a; });
  table["sqrt.rn.f32"] = per_lane([](f32 a) { return std::sqrt(a); });
  table["ex2.approx.ftz.f32"] = per_lane([](f32 a) { return flushed(std::exp2(flushed(a))); });
  table["min.f32"] = per_lane([](f32 a, f32 b) { return smaller(a, b); });
  table["max.f32"] = per_lane([](f32 a, f32 b) { return larger(a, b); });
  table["abs.f32"] = per_lane([](f32 a) { return std::fabs(a); });
  table["neg.f32"] = per_lane([](f32 a) { return -a; });
  table["setp.leu.f32"] = per_lane([](f32 a, f32 b) { return !(a > b); });
  table["setp.neu.f32"] = per_lane([](f32 a, f32 b) { return a != b; });
  table["setp.ltu.f32"] = per_lane([](f32 a, f32 b) { return !(a >= b); });
  for (const std::string rounding : {"", "rn."}) {
    table["add." + rounding + "f64"] = per_lane([](double a, double b) { return a + b; });
    table["sub." + rounding + "f64"] = per_lane([](double a, double b) { return a - b; });
    table["mul." + rounding + "f64"] = per_lane([](double a, double b) { return a * b; });
  }
}

u32 permuted(u32 a, u32 b, u32 selector) {
  const u64 bytes = u64{b} << 32 | a;
  u32 result = 0;
  for (u32 i = 0; i < 4; ++i) {
    const u32 nibble = selector >> 4 * i & 15u;
    u32 byte = static_cast<u32>(bytes >> 8 * (nibble & 7u)) & 0xffu;
    if ((nibble & 8u) != 0) byte = (byte & 0x80u) != 0 ? 0xffu : 0u;
    result |= byte << 8 * i;
  }
  return result;
}

// The n lowest bits of a, in b from bit `at` on.
template <class T>
T inserted(T a, T b, u32 at, u32 n) {
  constexpr u32 kBits = 8 * sizeof(T);
  at &= 255u, n &= 255u;
  if (at >= kBits) return b;
  const T mask = (n >= kBits ? ~T{0} : static_cast<T>((T{1} << n) - 1)) << at;
  return (b & ~mask) | ((a << at) & mask);
}

// n bits of a from bit `at` on.
u32 extracted(u32 a, u32 at, u32 n) {
  at &= 255u, n &= 255u;
  const u32 from = at >= 32 ? 0 : a >> at;
  return n >= 32 ? from : from & ((1u << n) - 1);
}

}  // namespace

Table arithmetic() {
  Table table;
  add_integers<s16>(table, "s16");
  add_integers<u16>(table, "u16");
  add_integers<s32>(table, "s32");
  add_integers<u32>(table, "u32");
  add_integers<s64>(table, "s64");
  add_integers<u64>(table, "u64");
  add_bits<bool>(table, "pred");
  add_bits<u16>(table, "b16");
  add_bits<u32>(table, "b32");
  add_bits<u64>(table, "b64");
  add_comparisons<s16>(table, "s16");
  add_comparisons<u16>(table, "u16");
  add_comparisons<s32>(table, "s32");
  add_comparisons<u32>(table, "u32");
  add_comparisons<s64>(table, "s64");
  add_comparisons<u64>(table, "u64");
  add_comparisons<f32>(table, "f32");
  add_comparisons<double>(table, "f64");
  table["setp.eq.b32"] = table["setp.eq.u32"];
  for (const std::string type : {"b16", "u16"}) add_moves<u16>(table, type);
  for (const std::string type : {"b32", "u32", "f32"}) add_moves<u32>(table, type);
  for (const std::string type : {"b64", "u64", "f64"}) add_moves<u64>(table, type);
  add_wide<u32, u16>(table, "u16");
  add_wide<u64, u32>(table, "u32");
  add_wide<s64, s32>(table, "s32");
  add_floats(table);
  table["mov.b32.unpack"] = {.run = unpack, .sizes = {2, 2, 4}};
  table["mov.b32.pack"] = per_lane([](u16 low, u16 high) { return u32{high} << 16 | low; });
  table["mov.pred"] = per_lane([](bool a) { return a; });
  table["neg.s32"] = per_lane([](u32 a) { return 0u - a; });
  table["neg.s64"] = per_lane([](u64 a) { return u64{0} - a; });
  table["mul.hi.s32"] = per_lane([](s32 a, s32 b) { return static_cast<s32>(s64{a} * b >> 32); });
  table["mul.hi.u16"] = per_lane([](u16 a, u16 b) { return static_cast<u16>(u32{a} * b >> 16); });
  table["mul.hi.u32"] = per_lane([](u32 a, u32 b) { return static_cast<u32>(u64{a} * b >> 32); });
  table["mul.hi.u64"] = per_lane([](u64 a, u64 b) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<u64>(Wide{a} * b >> 64);
  });
  table["prmt.b32"] = per_lane([](u32 a, u32 b, u32 selector) { return permuted(a, b, selector); });
  table["bfe.u32"] = per_lane([](u32 a, u32 at, u32 n) { return extracted(a, at, n); });
  table["shf.l.wrap.b32"] = per_lane([](u32 low, u32 high, u32 n) {
    return static_cast<u32>((u64{high} << 32 | low) << (n & 31u) >> 32);
  });
  table["bfi.b32"] = per_lane([](u32 a, u32 b, u32 at, u32 n) { return inserted(a, b, at, n); });
  table["bfi.b64"] = per_lane([](u64 a, u64 b, u32 at, u32 n) { return inserted(a, b, at, n); });
  return table;
}

}  // namespace tq::kernels::ptx
