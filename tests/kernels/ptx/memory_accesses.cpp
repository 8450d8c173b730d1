// ld, st and atom.
#include <array>
#include <span>

#include "tests/kernels/ptx/operations.h"

namespace tq::kernels::ptx {
namespace {

enum class Space { kGlobal, kConstant, kShared, kLocal, kParam };

// Where n bytes of a space that only one thread writes lie, or null.
template <Space kSpace>
std::byte* find_own(Warp& warp, uint64_t address, size_t n, int lane) {
  Block& block = warp.block();
  const bool is_local = kSpace == Space::kLocal;
  const size_t size = is_local ? block.code.kernel->local_bytes : block.params.size();
  const uint64_t offset = address - kSpaceStart;
  if (address < kSpaceStart || offset + n > size) return nullptr;
  const auto thread = static_cast<size_t>(warp.n_threads_before() + lane);
  return is_local ? block.local.data() + thread * size + offset
                  : const_cast<std::byte*>(block.params.data()) + offset;  // not written
}

template <Space kSpace>
constexpr const char* kOutside =
    kSpace == Space::kLocal ? "out of the thread's local memory" : "out of the parameter";

// What a lane reads; fails where it has no right to it.
template <Space kSpace, size_t kBytes>
const std::byte* read(Warp& warp, const Instruction& at, uint64_t address, int lane) {
  Block& block = warp.block();
  if (address % kBytes != 0) warp.fail("misaligned", at, lane);
  if constexpr (kSpace == Space::kGlobal || kSpace == Space::kConstant) {
    const std::byte* const found =
        block.global.read(address, kBytes, warp.thread_of_launch(lane), kSpace == Space::kConstant);
    if (found == nullptr) warp.fail(block.global.problem(), at, lane);
    return found;
  } else if constexpr (kSpace == Space::kShared) {
    const std::byte* const found = block.shared.read(address, kBytes, warp.thread(lane));
    if (found == nullptr) warp.fail(block.shared.problem(), at, lane);
    return found;
  } else {
    const std::byte* const found = find_own<kSpace>(warp, address, kBytes, lane);
    if (found == nullptr) warp.fail(kOutside<kSpace>, at, lane);
    return found;
  }
}

template <Space kSpace, size_t kBytes>
void write(Warp& warp, const Instruction& at, uint64_t address, const std::byte* values, int lane) {
  Block& block = warp.block();
  if (address % kBytes != 0) warp.fail("misaligned", at, lane);
  if constexpr (kSpace == Space::kGlobal) {
    if (!block.global.write(address, values, kBytes, warp.thread_of_launch(lane))) {
      warp.fail(block.global.problem(), at, lane);
    }
  } else if constexpr (kSpace == Space::kShared) {
    std::byte* const found = block.shared.write(address, kBytes, warp.thread(lane));
    if (found == nullptr) warp.fail(block.shared.problem(), at, lane);
    std::memcpy(found, values, kBytes);
  } else {
    std::byte* const found = find_own<kSpace>(warp, address, kBytes, lane);
    if (found == nullptr) warp.fail(kOutside<kSpace>, at, lane);
    std::memcpy(found, values, kBytes);
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

uint64_t address_of(const Warp& warp, const Instruction& at, size_t operand, int lane) {
  const uint64_t base = at.sizes[operand] == sizeof(uint64_t)
                            ? warp.get<uint64_t>(at.operands[operand], lane)
                            : warp.get<uint32_t>(at.operands[operand], lane);
  return base + static_cast<uint64_t>(at.displacement);
}

template <Space kSpace, class T, size_t kN>
void load(Warp& warp, const Instruction& at, uint32_t lanes) {
  for_lanes(lanes, [&](int lane) {
    const uint64_t address = address_of(warp, at, kN, lane);
    const std::byte* const memory = read<kSpace, sizeof(T) * kN>(warp, at, address, lane);
    for (size_t i = 0; i < kN; ++i) {
      T value;
      std::memcpy(&value, memory + i * sizeof(T), sizeof(T));
      to_register(warp, at.operands[i], at.sizes[i], lane, value);
    }
  });
}

template <Space kSpace, class T, size_t kN>
void store(Warp& warp, const Instruction& at, uint32_t lanes) {
  for_lanes(lanes, [&](int lane) {
    std::array<T, kN> values;
    for (size_t i = 0; i < kN; ++i) {
      values[i] = from_register<T>(warp, at.operands[1 + i], at.sizes[1 + i], lane);
    }
    write<kSpace, sizeof values>(warp, at, address_of(warp, at, 0, lane),
                                 std::as_bytes(std::span(values)).data(), lane);
  });
}

// Whatever is added to, of memory that threads share.
template <Space kSpace>
std::byte* update(Warp& warp, const Instruction& at, uint64_t address, size_t n, int lane) {
  Block& block = warp.block();
  if (address % n != 0) warp.fail("misaligned", at, lane);
  if constexpr (kSpace == Space::kGlobal) {
    std::byte* const found = block.global.update(address, n, warp.thread_of_launch(lane));
    if (found == nullptr) warp.fail(block.global.problem(), at, lane);
    return found;
  } else {
    std::byte* const found = block.shared.update(address, n, warp.thread(lane));
    if (found == nullptr) warp.fail(block.shared.problem(), at, lane);
    return found;
  }
}

template <Space kSpace>
void atomic_add(Warp& warp, const Instruction& at, uint32_t lanes) {
  for_lanes(lanes, [&](int lane) {
    uint32_t value;
    std::byte* const found =
        update<kSpace>(warp, at, address_of(warp, at, 1, lane), sizeof value, lane);
    std::memcpy(&value, found, sizeof value);
    const uint32_t sum = value + warp.get<uint32_t>(at.operands[2], lane);
    std::memcpy(found, &sum, sizeof sum);
    warp.set(at.operands[0], lane, value);
  });
}

template <Space kSpace, class T, size_t kN>
void add_access(Table& table, const std::string& place, const std::string& element) {
  const std::vector<int> sizes(kN + 1, kSizeOf<T>);
  table["ld." + place + element] = {.run = load<kSpace, T, kN>, .sizes = sizes, .memory = true};
  if constexpr (kSpace != Space::kParam && kSpace != Space::kConstant) {
    table["st." + place + element] = {.run = store<kSpace, T, kN>, .sizes = sizes, .memory = true};
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
  add_vectors<kSpace, int16_t>(table, place, "s16");
  add_vectors<kSpace, int32_t>(table, place, "s32");
  add_vectors<kSpace, uint32_t>(table, place, "f32");
  add_vectors<kSpace, uint64_t>(table, place, "f64");
}

}  // namespace

Table memory_accesses() {
  Table table;
  add_space<Space::kGlobal>(table, "global");
  add_space<Space::kConstant>(table, "global.nc");
  add_space<Space::kConstant>(table, "global.nc.L1::no_allocate");
  add_space<Space::kShared>(table, "shared");
  add_space<Space::kLocal>(table, "local");
  add_space<Space::kParam>(table, "param");
  const std::vector<int> sizes(3, sizeof(uint32_t));
  table["atom.shared.add.u32"] = {
      .run = atomic_add<Space::kShared>, .sizes = sizes, .memory = true};
  table["atom.global.add.u32"] = {
      .run = atomic_add<Space::kGlobal>, .sizes = sizes, .memory = true};
  return table;
}

}  // namespace tq::kernels::ptx
