#include "tests/kernels/ptx/machine.h"

#include <algorithm>

namespace tq::kernels::ptx {
namespace {

constexpr uint64_t kInstructionsMax = 100'000'000;  // of a warp; the longest test has a thousandth
constexpr int kPoison = 0xff;                       // NaN in every float format

}  // namespace

Block::Block(const Code& of_code,
             const simt::Launch& of_launch,
             std::span<const std::byte> with,
             GlobalMemory& memory,
             dim3 of_grid)
    : code(of_code),
      launch(of_launch),
      params(with),
      global(memory),
      shared(code.kernel->shared_bytes + launch.shared_bytes),
      local(code.kernel->local_bytes * launch.block.x, std::byte{kPoison}),
      idx(of_grid) {}

Warp::Warp(Block& block, int index)
    : block_(block),
      index_(index),
      n_left_(kInstructionsMax),
      registers_(block.code.register_bytes, std::byte{kPoison}) {
  const unsigned n = block.launch.block.x - static_cast<unsigned>(n_threads_before());
  if (n < kLanes) exists_ = (1u << n) - 1;
  groups_.push_back({.pc = 0, .lanes = exists_});
  for (const auto& [at, size, bits] : block.code.constants) {
    for (int lane = 0; lane < (size == kPredicate ? 1 : kLanes); ++lane) {
      switch (size) {
        case kPredicate: set_bits(at, static_cast<uint32_t>(bits), kAllLanes); break;
        case 2: set(at, lane, static_cast<uint16_t>(bits)); break;
        case 4: set(at, lane, static_cast<uint32_t>(bits)); break;
        default: set(at, lane, bits);
      }
    }
  }
  for (const auto& [special, at] : block.code.specials) {
    for (int lane = 0; lane < kLanes; ++lane) {
      switch (special) {
        case Code::Special::kThread: set(at, lane, n_threads_before() + lane); break;
        case Code::Special::kBlockX: set(at, lane, block.idx.x); break;
        case Code::Special::kBlockY: set(at, lane, block.idx.y); break;
        case Code::Special::kThreads: set(at, lane, block.launch.block.x); break;
      }
    }
  }
}

void Warp::fail(const std::string& what, const Instruction& at, int lane) const {
  const Code& code = block_.code;
  const auto pc = static_cast<size_t>(&at - code.instructions.data());
  throw Fault(code.kernel->name + ", block " + std::to_string(block_.idx.x) + "," +
              std::to_string(block_.idx.y) + ", thread " +
              std::to_string(n_threads_before() + lane) + ": " + what + ": " +
              code.kernel->statements[pc].text);
}

void Warp::run() {
  for (;;) {
    // The lowest place first: lanes that left a loop or a branch wait for the others behind it.
    size_t chosen = groups_.size();
    for (size_t i = 0; i < groups_.size(); ++i) {
      if (groups_[i].waits) continue;
      if (chosen == groups_.size() || groups_[i].pc < groups_[chosen].pc) chosen = i;
    }
    if (chosen < groups_.size()) {
      run_group(merge(chosen));
      continue;
    }
    if (groups_.empty()) return;
    const Group& first = groups_.front();
    const Instruction& at = block_.code.instructions[first.pc];
    if (at.kind != Kind::kBarrier || first.lanes != exists_) {
      fail("lanes that wait for others which do not come", at, __builtin_ctz(first.lanes));
    }
    return;
  }
}

// A group with all that are at its place; they all go on.
size_t Warp::merge(size_t chosen) {
  Group whole = groups_[chosen];
  for (const Group& group : groups_) {
    if (group.pc == whole.pc) whole.lanes |= group.lanes;
  }
  std::erase_if(groups_, [&](const Group& group) { return group.pc == whole.pc; });
  groups_.push_back(whole);
  return groups_.size() - 1;
}

bool Warp::meets(const Group& group, const Instruction& at) const {
  if (at.kind == Kind::kAligned) return group.lanes == kAllLanes;
  const auto mask = [&](int lane) { return get<uint32_t>(at.operands[at.n_operands - 1u], lane); };
  const int first = __builtin_ctz(group.lanes);
  for (uint32_t left = group.lanes; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    if (mask(lane) != mask(first)) fail("lanes of different masks", at, lane);
    if ((mask(lane) >> lane & 1u) == 0) fail("a lane outside its own mask", at, lane);
  }
  return group.lanes == mask(first);
}

// Until the group splits, jumps, waits, ends, or comes to where another one is.
void Warp::run_group(size_t chosen) {
  uint32_t stop = ~0u;
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (i != chosen && groups_[i].pc > groups_[chosen].pc) stop = std::min(stop, groups_[i].pc);
  }
  Group group = groups_[chosen];
  const auto& instructions = block_.code.instructions;
  const auto leave = [&] { groups_[chosen] = group; };
  for (; group.pc != stop; ++group.pc) {
    const Instruction& at = instructions.at(group.pc);
    if (n_left_-- == 0) fail("does not end", at, __builtin_ctz(group.lanes));
    switch (at.kind) {
      case Kind::kPlain: at.run(*this, at, group.lanes); continue;
      case Kind::kExit: groups_.erase(groups_.begin() + static_cast<ptrdiff_t>(chosen)); return;
      case Kind::kBarrier: group.waits = true; return leave();
      case Kind::kMeeting:
      case Kind::kAligned:
        if (!meets(group, at)) {
          group.waits = true;
          return leave();
        }
        at.run(*this, at, group.lanes);
        continue;
      case Kind::kBranch: break;
    }
    const uint32_t guard = bits(at.operands[0]);
    const uint32_t taken = group.lanes & (at.guard_negated ? ~guard : guard);
    if (taken == 0) continue;
    if (taken != group.lanes)
      groups_.push_back({.pc = group.pc + 1, .lanes = group.lanes & ~taken});
    group.lanes = taken;
    group.pc = at.target;
    return leave();
  }
  leave();
}

void Warp::pass_barrier() {
  groups_.front().waits = false;
  ++groups_.front().pc;
}

void run_block(Block& block) {
  std::vector<Warp> warps;
  for (int first = 0; first < static_cast<int>(block.launch.block.x); first += kLanes) {
    warps.emplace_back(block, first / kLanes);
  }
  for (;;) {
    for (Warp& warp : warps) warp.run();
    const auto n_ended = std::count_if(warps.begin(), warps.end(),
                                       [](const Warp& warp) { return warp.has_ended(); });
    if (n_ended == static_cast<ptrdiff_t>(warps.size())) return;
    if (n_ended != 0) throw Fault(block.code.kernel->name + ": a barrier that not all come to");
    for (Warp& warp : warps) warp.pass_barrier();
    block.shared.pass_barrier();
    ++block.n_barriers;
  }
}

}  // namespace tq::kernels::ptx
