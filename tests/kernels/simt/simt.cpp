#include "tests/kernels/simt/simt.h"

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

#include "tests/kernels/simt/runner.h"

namespace tq::kernels::simt {
namespace {

namespace ctx = boost::context;

constexpr size_t kStackBytes = 256 << 10;  // a debug build's frames of unrolled kernels are large
constexpr unsigned char kPoison = 0xff;    // NaN in every float format
constexpr unsigned kWarp = 32;

enum class State { kReady, kInWarp, kInBlock, kDone };

struct Lane {
  Thread thread;
  unsigned id = 0;  // in the block
  State state = State::kReady;
  ctx::fiber fiber;      // of the lane, while the scheduler runs
  ctx::fiber scheduler;  // while the lane runs
  // What it waits for.
  uint32_t mask = 0;
  void* slot = nullptr;
  void (*act)(Slots slots) = nullptr;
  Place place;
};

// Stacks are kept between blocks: mapping one costs more than a small kernel.
class Stacks {
 public:
  ctx::stack_context take() {
    if (free_.empty()) return ctx::fixedsize_stack(kStackBytes).allocate();
    const ctx::stack_context stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void give(const ctx::stack_context& stack) { free_.push_back(stack); }
  ~Stacks() {
    for (ctx::stack_context& stack : free_) ctx::fixedsize_stack(kStackBytes).deallocate(stack);
  }

 private:
  std::vector<ctx::stack_context> free_;
};
Stacks stacks;

struct StackSource {
  ctx::stack_context allocate() const { return stacks.take(); }
  void deallocate(ctx::stack_context& stack) const { stacks.give(stack); }
};

Lane* running = nullptr;

void suspend(State state) {
  Lane& lane = *running;
  lane.state = state;
  lane.scheduler = std::move(lane.scheduler).resume();
}

class Block {
 public:
  Block(const Launch& options, dim3 index, const std::function<void()>& kernel)
      : shared_(options.shared_bytes + 128, std::byte{kPoison}),
        lanes_(size_t{options.block.x} * options.block.y * options.block.z),
        random_(options.seed + 977 * index.x + 31 * index.y + index.z),
        shuffles_(options.seed != 0) {
    void* start = shared_.data();
    size_t space = shared_.size();
    std::byte* const aligned =
        static_cast<std::byte*>(std::align(128, options.shared_bytes, start, space));
    for (unsigned id = 0; id < lanes_.size(); ++id) {
      Lane& lane = lanes_[id];
      lane.id = id;
      lane.thread = {.thread_idx = {id % options.block.x, id / options.block.x % options.block.y,
                                    id / (options.block.x * options.block.y)},
                     .block_idx = index,
                     .block_dim = options.block,
                     .grid_dim = options.grid,
                     .shared = aligned};
      lane.fiber = ctx::fiber(std::allocator_arg, StackSource{}, [&](ctx::fiber&& from) {
        lane.scheduler = std::move(from);
        kernel();
        lane.state = State::kDone;
        return std::move(lane.scheduler);
      });
    }
    for (unsigned first = 0; first < lanes_.size(); first += kWarp) warps_.push_back(first);
  }

  void run() {
    for (;;) {
      shuffle(warps_);
      for (const unsigned first : warps_) {
        while (run_warp(first)) {
        }
      }
      const Lane* waiting = nullptr;
      size_t n_waiting = 0, n_done = 0;
      for (const Lane& lane : lanes_) {
        n_done += lane.state == State::kDone;
        n_waiting += lane.state == State::kInBlock;
        if (lane.state == State::kInBlock) waiting = &lane;
        if (lane.state == State::kInWarp) fail("a warp's meeting that not all lanes come to", lane);
      }
      if (n_done == lanes_.size()) return;
      if (n_waiting != lanes_.size()) fail("a barrier that not all threads come to", *waiting);
      for (Lane& lane : lanes_) {
        if (!same_place(lane, *waiting)) fail("two barriers at once", lane);
        lane.state = State::kReady;
      }
    }
  }

 private:
  template <class T>
  void shuffle(std::vector<T>& order) {
    if (shuffles_) std::shuffle(order.begin(), order.end(), random_);
  }

  [[noreturn]] static void fail(const char* what, const Lane& lane) {
    running = const_cast<Lane*>(&lane);
    simt::fail(what, lane.place);
  }

  static bool same_place(const Lane& a, const Lane& b) {
    return a.place.line == b.place.line && a.act == b.act;
  }

  // Lets each ready lane run to its next meeting, then holds the meetings that are complete.
  bool run_warp(unsigned first) {
    const unsigned end = std::min<unsigned>(first + kWarp, static_cast<unsigned>(lanes_.size()));
    std::vector<unsigned> order;
    for (unsigned id = first; id < end; ++id) order.push_back(id);
    shuffle(order);
    bool progress = false;
    for (const unsigned id : order) {
      Lane& lane = lanes_[id];
      if (lane.state != State::kReady) continue;
      running = &lane;
      lane.fiber = std::move(lane.fiber).resume();
      progress = true;
    }
    for (unsigned id = first; id < end; ++id) {
      if (lanes_[id].state == State::kInWarp) progress |= hold_meeting(first, end, lanes_[id]);
    }
    return progress;
  }

  bool hold_meeting(unsigned first, unsigned end, const Lane& host) {
    const uint32_t mask = host.mask;
    void* slots[kWarp] = {};
    for (unsigned i = 0; i < kWarp; ++i) {
      if ((mask >> i & 1u) == 0) continue;
      if (first + i >= end) fail("a mask that names lanes which do not exist", host);
      const Lane& guest = lanes_[first + i];
      if (guest.state == State::kDone) fail("a meeting with a lane that has ended", host);
      if (guest.state != State::kInWarp) return false;
      if (guest.mask != mask || !same_place(guest, host)) {
        std::fprintf(stderr, "simt: lane %u is at line %u\n", i, guest.place.line);
        fail("lanes at different meetings", host);
      }
      slots[i] = guest.slot;
    }
    host.act(slots);
    for (unsigned i = 0; i < kWarp; ++i) {
      if (mask >> i & 1u) lanes_[first + i].state = State::kReady;
    }
    return true;
  }

  std::vector<std::byte> shared_;
  std::vector<Lane> lanes_;
  std::vector<unsigned> warps_;  // first lane of each
  std::minstd_rand random_;
  bool shuffles_;
};

Runner& the_runner() {
  static Runner runner;
  return runner;
}

Exchange& at(Slots slots, int lane) { return *static_cast<Exchange*>(slots[lane]); }

// Each lane takes the value of the lane that `from` names; garbage where it has none.
template <class From>
void take_from(Slots slots, From from) {
  for (int i = 0; i < 32; ++i) {
    if (slots[i] == nullptr) continue;
    const int j = from(i, at(slots, i).argument);
    at(slots, i).out = slots[j] == nullptr ? 0xdeadbeefu : at(slots, j).in;
  }
}

}  // namespace

void launch(const Launch& options, const std::function<void()>& kernel) {
  for (unsigned z = 0; z < options.grid.z; ++z) {
    for (unsigned y = 0; y < options.grid.y; ++y) {
      for (unsigned x = 0; x < options.grid.x; ++x) Block(options, {x, y, z}, kernel).run();
    }
  }
  running = nullptr;
}

void run_kernels_with(Runner runner) { the_runner() = std::move(runner); }

const Runner& other_runner() { return the_runner(); }

uint32_t next_seed() {
  static uint32_t seed = 0;
  return ++seed;
}

const Thread& self() { return running->thread; }

void fail(const char* what, const Place& place) {
  const Lane& lane = *running;
  std::fprintf(stderr, "simt: %s: block %u,%u,%u thread %u at %s:%u\n", what,
               lane.thread.block_idx.x, lane.thread.block_idx.y, lane.thread.block_idx.z, lane.id,
               place.file, place.line);
  std::abort();
}

void meet(uint32_t mask, void* slot, void (*act)(Slots slots), const Place& place) {
  Lane& lane = *running;
  if ((mask >> lane.id % kWarp & 1u) == 0) fail("a lane outside its own mask", place);
  lane.mask = mask;
  lane.slot = slot;
  lane.act = act;
  lane.place = place;
  suspend(State::kInWarp);
}

void meet_block(const Place& place) {
  running->place = place;
  running->act = nullptr;
  suspend(State::kInBlock);
}

uint32_t exchange(uint32_t mask, Exchange slot, void (*act)(Slots slots), const Place& place) {
  meet(mask, &slot, act, place);
  return slot.out;
}

void act_xor(Slots slots) {
  take_from(slots, [](int lane, int lanes) { return (lane ^ lanes) & 31; });
}
void act_index(Slots slots) {
  take_from(slots, [](int, int lane) { return lane & 31; });
}
void act_down(Slots slots) {
  take_from(slots, [](int lane, int lanes) { return lane + lanes < 32 ? lane + lanes : lane; });
}
void act_ballot(Slots slots) {
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) {
    if (slots[i] != nullptr && at(slots, i).in != 0) bits |= 1u << i;
  }
  for (int i = 0; i < 32; ++i) {
    if (slots[i] != nullptr) at(slots, i).out = bits;
  }
}
void act_nothing(Slots) {}

}  // namespace tq::kernels::simt
