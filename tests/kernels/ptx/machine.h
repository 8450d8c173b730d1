#pragma once
// The threads of a block, as the PTX ISA describes them: instructions over warps of 32 lanes, each
// warp a few groups of lanes that are at different places. One thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/kernels/ptx/global_memory.h"
#include "tests/kernels/ptx/module.h"
#include "tests/kernels/ptx/shared_memory.h"
#include "tests/kernels/simt/simt.h"

namespace tq::kernels::ptx {

inline constexpr int kLanes = 32;
inline constexpr uint32_t kAllLanes = 0xffffffffu;
inline constexpr size_t kOperandsMax = 14;  // of mma

class Warp;
struct Instruction;
using Run = void (*)(Warp& warp, const Instruction& at, uint32_t lanes);

// kMeeting: the lanes of its last operand, a mask, come; kAligned: all lanes do.
enum class Kind : uint8_t { kPlain, kBranch, kExit, kMeeting, kAligned, kBarrier };

struct Instruction {
  Run run = nullptr;
  Kind kind = Kind::kPlain;
  bool guard_negated = false;
  std::array<uint8_t, 5> sizes{};                 // of a load's or store's, in bytes
  std::array<uint32_t, kOperandsMax> operands{};  // where they begin in a warp's registers
  uint8_t n_operands = 0;
  uint32_t target = 0;       // of a branch
  int64_t displacement = 0;  // of a load or store
};

// What an opcode does, and what its operands are.
struct Operation {
  Run run = nullptr;
  Kind kind = Kind::kPlain;
  std::vector<int> sizes;  // bytes or kPredicate
  bool memory = false;     // the last operand is an address, the others may be of any size
};
// Throws where it is not known.
const Operation& find_operation(std::string_view opcode);

// A kernel's instructions, and its registers: 32 values each, or 32 bits of a predicate.
struct Code {
  struct Constant {
    uint32_t at = 0;
    int size = 0;
    uint64_t bits = 0;
  };
  enum class Special { kThread, kBlockX, kBlockY, kThreads };
  const Kernel* kernel = nullptr;
  std::vector<Instruction> instructions;
  std::vector<Constant> constants;
  std::vector<std::pair<Special, uint32_t>> specials;
  uint32_t register_bytes = 0;
};
Code decode(const Kernel& kernel);

// What a block's warps share.
struct Block {
  Block(const Code& of_code,
        const simt::Launch& of_launch,
        std::span<const std::byte> with,
        GlobalMemory& memory,
        dim3 of_grid);

  const Code& code;
  const simt::Launch& launch;
  std::span<const std::byte> params;
  GlobalMemory& global;
  SharedMemory shared;
  std::vector<std::byte> local;  // [thread][local_bytes]
  dim3 idx;
  uint32_t n_barriers = 0;  // that were passed
};
// Runs all of its threads to their end.
void run_block(Block& block);

class Warp {
 public:
  // The lanes that exist are the block's threads from 32 index on.
  Warp(Block& block, int index);

  // Until all lanes have ended or wait at a barrier.
  void run();
  bool has_ended() const { return groups_.empty(); }
  void pass_barrier();

  template <class T>
  T get(uint32_t operand, int lane) const {
    T value;
    std::memcpy(&value, registers_.data() + operand + static_cast<size_t>(lane) * sizeof(T),
                sizeof(T));
    return value;
  }
  template <class T>
  void set(uint32_t operand, int lane, T value) {
    std::memcpy(registers_.data() + operand + static_cast<size_t>(lane) * sizeof(T), &value,
                sizeof(T));
  }
  // All lanes' bits of a predicate.
  uint32_t bits(uint32_t operand) const { return get<uint32_t>(operand, 0); }
  void set_bits(uint32_t operand, uint32_t bits, uint32_t lanes) {
    set<uint32_t>(operand, 0, (this->bits(operand) & ~lanes) | (bits & lanes));
  }

  std::byte* registers() { return registers_.data(); }
  Block& block() { return block_; }
  // What a lane of it is to shared memory.
  SharedMemory::Thread thread(int lane) const { return {index_, lane, n_meetings_}; }
  GlobalMemory::Thread thread_of_launch(int lane) const {
    const uint32_t block = block_.idx.y * block_.launch.grid.x + block_.idx.x;
    return {block, block_.n_barriers, thread(lane)};
  }
  // Accesses before are ordered before those after, among all lanes.
  void order_memory() { ++n_meetings_; }
  int n_threads_before() const { return kLanes * index_; }

  [[noreturn]] void fail(const std::string& what, const Instruction& at, int lane) const;

 private:
  struct Group {
    uint32_t pc = 0;
    uint32_t lanes = 0;
    bool waits = false;
  };
  void run_group(size_t chosen);
  bool meets(const Group& group, const Instruction& at) const;
  size_t merge(size_t chosen);

  Block& block_;
  int index_;
  uint32_t exists_ = kAllLanes;
  uint32_t n_meetings_ = 0;
  uint64_t n_left_;  // instructions, so that a wrong loop ends
  std::vector<Group> groups_;
  std::vector<std::byte> registers_;
};

}  // namespace tq::kernels::ptx
