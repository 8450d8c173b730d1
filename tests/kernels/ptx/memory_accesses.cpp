// ld and st.
#include "tests/kernels/ptx/operations.h"
#include "tests/kernels/simt/regions.h"

namespace tq::kernels::ptx {
namespace {

enum class Space { kGlobal, kShared, kLocal, kParam };

// Where n bytes at an address lie; fails where a lane has no right to them.
template <Space kSpace, bool kIsLoad>
std::byte* find(Warp& warp, uint64_t address, size_t n, int lane, const char*& problem) {
  Block& block = warp.block();
  if (address % n != 0) {
    problem = "misaligned";
    return nullptr;
  }
  if constexpr (kSpace == Space::kGlobal) {
    auto* const at = reinterpret_cast<std::byte*>(address);
    problem = "not in one of the device's regions";
    return simt::in_region(at, n) ? at : nullptr;
  } else if constexpr (kSpace == Space::kShared) {
    // Not written through where it is read.
    std::byte* const at =
        kIsLoad ? const_cast<std::byte*>(block.shared.read(address, n, warp.thread(lane)))
                : block.shared.write(address, n, warp.thread(lane));
    problem = block.shared.problem();
    return at;
  } else {
    const bool is_local = kSpace == Space::kLocal;
    const size_t size = is_local ? block.code.kernel->local_bytes : block.params.size();
    problem = is_local ? "out of the thread's local memory" : "out of the parameter";
    const uint64_t offset = address - kSpaceStart;
    if (address < kSpaceStart || offset + n > size) return nullptr;
    const auto thread = static_cast<size_t>(warp.n_threads_before() + lane);
    return is_local ? block.local.data() + thread * size + offset
                    : const_cast<std::byte*>(block.params.data()) + offset;
  }
}

// Registers may be wider than elements: zeros or signs fill them, and what is stored is cut.
template <class T>
void to_register(Warp& warp, uint32_t operand, int size, int lane, T value) {
  using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
  const auto wide = static_cast<Wide>(value);
  switch (size) {
    case 2: return warp.set(operand, lane, static_cast<uint16_t>(wide));
    case 4: return warp.set(operand, lane, static_cast<uint32_t>(wide));
    default: return warp.set(operand, lane, static_cast<uint64_t>(wide));
  }
}
template <class T>
T from_register(const Warp& warp, uint32_t operand, int size, int lane) {
  switch (size) {
    case 2: return static_cast<T>(warp.get<uint16_t>(operand, lane));
    case 4: return static_cast<T>(warp.get<uint32_t>(operand, lane));
    default: return static_cast<T>(warp.get<uint64_t>(operand, lane));
  }
}

template <Space kSpace, class T, size_t kN, bool kIsLoad>
void access(Warp& warp, const Instruction& at, uint32_t lanes) {
  constexpr size_t kAddress = kIsLoad ? kN : 0, kFirst = kIsLoad ? 0 : 1;
  const bool is_wide = at.sizes[kAddress] == sizeof(uint64_t);
  for (uint32_t left = lanes; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    const uint64_t base = is_wide ? warp.get<uint64_t>(at.operands[kAddress], lane)
                                  : warp.get<uint32_t>(at.operands[kAddress], lane);
    const char* problem = "";
    std::byte* const memory = find<kSpace, kIsLoad>(
        warp, base + static_cast<uint64_t>(at.displacement), sizeof(T) * kN, lane, problem);
    if (memory == nullptr) warp.fail(problem, at, lane);
    for (size_t i = 0; i < kN; ++i) {
      const uint32_t operand = at.operands[kFirst + i];
      const int size = at.sizes[kFirst + i];
      T value;
      if constexpr (kIsLoad) {
        std::memcpy(&value, memory + i * sizeof(T), sizeof(T));
        to_register(warp, operand, size, lane, value);
      } else {
        value = from_register<T>(warp, operand, size, lane);
        std::memcpy(memory + i * sizeof(T), &value, sizeof(T));
      }
    }
  }
}

template <Space kSpace, class T, size_t kN>
void add_access(Table& table, const std::string& place, const std::string& element) {
  const std::vector<int> sizes(kN + 1, kSizeOf<T>);
  table["ld." + place + element] = {
      .run = access<kSpace, T, kN, true>, .sizes = sizes, .memory = true};
  if (kSpace != Space::kParam && place.find(".nc") == std::string::npos) {
    table["st." + place + element] = {
        .run = access<kSpace, T, kN, false>, .sizes = sizes, .memory = true};
  }
}

template <Space kSpace, class T>
void add_vectors(Table& table, const std::string& place, const std::string& type) {
  add_access<kSpace, T, 1>(table, place, "." + type);
  add_access<kSpace, T, 2>(table, place, ".v2." + type);
  add_access<kSpace, T, 4>(table, place, ".v4." + type);
}

template <Space kSpace>
void add_space(Table& table, const std::string& place) {
  add_vectors<kSpace, uint8_t>(table, place, "u8");
  add_vectors<kSpace, uint16_t>(table, place, "u16");
  add_vectors<kSpace, uint32_t>(table, place, "u32");
  add_vectors<kSpace, uint64_t>(table, place, "u64");
  add_vectors<kSpace, int32_t>(table, place, "s32");
  add_vectors<kSpace, uint32_t>(table, place, "f32");
}

}  // namespace

Table memory_accesses() {
  Table table;
  add_space<Space::kGlobal>(table, "global");
  add_space<Space::kGlobal>(table, "global.nc");
  add_space<Space::kGlobal>(table, "global.nc.L1::no_allocate");
  add_space<Space::kShared>(table, "shared");
  add_space<Space::kLocal>(table, "local");
  add_space<Space::kParam>(table, "param");
  return table;
}

}  // namespace tq::kernels::ptx
