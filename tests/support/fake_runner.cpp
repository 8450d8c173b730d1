#include "tests/support/fake_runner.h"

#include <algorithm>
#include <limits>
#include <thread>

#include "config/check.h"

namespace tq::test {

namespace {

constexpr size_t kViolationsKept = 20;

uint64_t mix(uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

quant::BlockLayout small_layout(const KvConfig& kv) {
  auto layout = quant::BlockLayout::create({.n_layers = 1, .n_kv_heads = 1, .head_dim = 64},
                                           kv.formats, kv.block_tokens);
  TQ_CHECK(layout.ok(), "layout of the fake runner", layout.ok() ? "" : layout.error().message);
  return *layout;
}

}  // namespace

uint64_t extend_chain(uint64_t chain, TokenId token) noexcept {
  return mix(chain * 0x9e3779b97f4a7c15ull + static_cast<uint64_t>(token) + 1);
}

uint64_t chain_of(std::span<const TokenId> tokens) noexcept {
  uint64_t chain = kEmptyChain;
  for (const TokenId token : tokens) chain = extend_chain(chain, token);
  return chain;
}

TokenId fake_next(uint64_t chain, int vocab_size) noexcept {
  return static_cast<TokenId>(mix(chain + 1) % static_cast<uint64_t>(vocab_size));
}

void fake_logits(uint64_t chain, float peak, std::span<float> logits) noexcept {
  uint64_t state = chain;
  for (float& logit : logits) {
    state = state * 0xd1342543de82ef95ull + 1;
    logit = static_cast<float>(state >> 40) * 0x1.0p-24f;
  }
  logits[static_cast<size_t>(fake_next(chain, static_cast<int>(logits.size())))] += peak;
}

FakeRunner::FakeRunner(FakeRunnerOptions options)
    : options_(std::move(options)),
      layout_(small_layout(options_.kv)),
      hot_(static_cast<size_t>(options_.pools.hot_blocks * options_.kv.block_tokens)),
      sealed_(static_cast<size_t>(options_.pools.sealed_blocks * options_.kv.block_tokens)),
      host_hot_(static_cast<size_t>(options_.host_pools.hot_blocks * options_.kv.block_tokens)),
      host_sealed_(
          static_cast<size_t>(options_.host_pools.sealed_blocks * options_.kv.block_tokens)),
      device_logits_(/*top_room=*/64, [controls = options_.controls] { controls->on_end(); }),
      writers_(static_cast<size_t>(options_.pools.hot_blocks), -1) {}

std::span<FakeRunner::Slot> FakeRunner::block(Store& store, BlockId id) {
  const auto width = static_cast<size_t>(options_.kv.block_tokens);
  const bool exists = raw(id) >= 0 && (static_cast<size_t>(raw(id)) + 1) * width <= store.size();
  if (!exists) {
    violate("block " + std::to_string(raw(id)) + " does not exist");
    return {};
  }
  return std::span(store).subspan(static_cast<size_t>(raw(id)) * width, width);
}

void FakeRunner::violate(std::string what) {
  ++options_.controls->n_violations;
  if (violations_.size() < kViolationsKept) {
    violations_.push_back("step " + std::to_string(options_.controls->n_steps) + ": " + what);
  }
}

Result<engine::StepLogits> FakeRunner::run(const engine::StepPlan& plan,
                                           const Meanwhile& meanwhile) {
  FakeControls& controls = *options_.controls;
  if (!controls.on_device) meanwhile();
  controls.on_begin();
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::microseconds(controls.step_delay_us.load());
  const int64_t step = controls.n_steps++;
  if (step == controls.fail_at_step) return Error{controls.fail_code, "injected failure", "fake"};

  const int64_t n_violations = controls.n_violations;
  check_aliasing(plan);
  swap(plan.swaps_out.hot, hot_, host_hot_);
  swap(plan.swaps_out.sealed, sealed_, host_sealed_);
  swap(plan.swaps_in.hot, host_hot_, hot_);
  swap(plan.swaps_in.sealed, host_sealed_, sealed_);
  for (const auto& op : plan.seals) seal(op, plan);
  for (const auto& item : plan.items) check_view(item);
  // Appends come after all views were checked: a row written too early by one item would hide
  // there.
  logits_.clear();
  const auto width = static_cast<size_t>(options_.vocab_size);
  for (const auto& item : plan.items) {
    const uint64_t chain = append(item);
    if (!item.sample) continue;
    logits_.resize(logits_.size() + width);
    const auto row = std::span(logits_).last(width);
    fake_logits(chain, options_.peak, row);
    if (item.tokens.back() == controls.nan_for_token) {
      row[width / 2] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  if (controls.on_device) meanwhile();
  std::this_thread::sleep_until(until);
  if (controls.n_violations != n_violations) {
    return Error{Code::kInternal, "the plan shows wrong blocks: " + violations_.back(), "fake"};
  }
  if (!controls.on_device) return engine::StepLogits{.values = logits_};
  return engine::StepLogits{.on_device = &device_logits_.reset(logits_, options_.vocab_size)};
}

void FakeRunner::check_aliasing(const engine::StepPlan& plan) {
  std::ranges::fill(writers_, -1);
  const auto block_tokens = options_.kv.block_tokens;
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const auto& item = plan.items[i];
    for (size_t b = 0; b < item.hot_blocks.size() && b < item.hot_first.size(); ++b) {
      if (item.hot_first[b] + block_tokens <= item.first) continue;  // only read
      const auto id = static_cast<size_t>(raw(item.hot_blocks[b]));
      if (id >= writers_.size()) continue;  // check_view() tells
      if (writers_[id] >= 0) violate("hot block " + std::to_string(id) + " has two writers");
      writers_[id] = static_cast<int32_t>(i);
    }
  }
  for (size_t i = 0; i < plan.items.size(); ++i) {
    for (const BlockId id : plan.items[i].hot_blocks) {
      if (static_cast<size_t>(raw(id)) >= writers_.size()) continue;
      const int32_t writer = writers_[static_cast<size_t>(raw(id))];
      if (writer >= 0 && writer != static_cast<int32_t>(i)) {
        violate("hot block " + std::to_string(raw(id)) +
                " is read by one item and written by another");
      }
    }
  }
}

// What comes back is checked where an item is shown it.
void FakeRunner::swap(std::span<const kernels::BlockCopy> copies, Store& from, Store& to) {
  for (size_t i = 0; i < copies.size(); ++i) {
    const auto source = block(from, copies[i].from);
    const auto target = block(to, copies[i].to);
    if (source.empty() || target.empty()) continue;
    if (source[0].position < 0) {
      violate("swapped a block that was never written: " + std::to_string(raw(copies[i].from)));
    }
    for (size_t j = 0; j < i; ++j) {
      if (copies[j].to == copies[i].to) {
        violate("two blocks swapped to " + std::to_string(raw(copies[i].to)));
      }
    }
    std::ranges::copy(source, target.begin());
  }
}

void FakeRunner::seal(const engine::SealOp& op, const engine::StepPlan& plan) {
  const auto from = block(hot_, op.hot);
  const auto to = block(sealed_, op.sealed);
  if (from.empty() || to.empty()) return;
  if (writers_[static_cast<size_t>(raw(op.hot))] >= 0) {
    violate("hot block " + std::to_string(raw(op.hot)) + " is sealed and written in one step");
  }
  const auto n_targets = std::ranges::count_if(
      plan.seals, [&](const engine::SealOp& other) { return other.sealed == op.sealed; });
  if (n_targets != 1) violate("two seals into block " + std::to_string(raw(op.sealed)));
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i].position < 0 || from[i].position != from[0].position + static_cast<int32_t>(i)) {
      violate("sealed a block that is not full: hot " + std::to_string(raw(op.hot)));
      break;
    }
  }
  std::ranges::copy(from, to.begin());
}

// The slot of a position that the item is shown, by the one rule: sinks hot, then sealed, then hot.
FakeRunner::Slot* FakeRunner::slot_of(const engine::StepItem& item, int64_t position) {
  const KvConfig& kv = options_.kv;
  const int64_t sealed_end = sealed_until(kv, item.first);
  const int64_t block_idx = position / kv.block_tokens;
  const auto slot = static_cast<size_t>(position % kv.block_tokens);
  const int64_t n_sinks = kv.sink_tokens / kv.block_tokens;
  std::span<Slot> found;
  if (position >= kv.sink_tokens && position < sealed_end) {
    found = block(sealed_, item.sealed_blocks[static_cast<size_t>(block_idx - n_sinks)]);
  } else {
    const int64_t n_sealed = (sealed_end - kv.sink_tokens) / kv.block_tokens;
    const int64_t idx = block_idx < n_sinks ? block_idx : block_idx - n_sealed;
    found = block(hot_, item.hot_blocks[static_cast<size_t>(idx)]);
  }
  return found.empty() ? nullptr : &found[slot];
}

void FakeRunner::check_view(const engine::StepItem& item) {
  const KvConfig& kv = options_.kv;
  const std::string who =
      "sequence " + std::to_string(raw(item.seq)) + " at " + std::to_string(item.first) + ": ";
  const auto n_tokens = static_cast<int64_t>(item.tokens.size());
  const int64_t end = item.first + n_tokens;
  if (n_tokens == 0) return violate(who + "item without tokens");
  if (item.first / kv.seal_stride_tokens != (end - 1) / kv.seal_stride_tokens) {
    violate(who + "item crosses a seal point");
  }
  const int64_t sealed_end = sealed_until(kv, item.first);
  const int64_t n_blocks = (end + kv.block_tokens - 1) / kv.block_tokens;
  const int64_t n_sealed = (sealed_end - kv.sink_tokens) / kv.block_tokens;
  if (std::ssize(item.sealed_blocks) != n_sealed) {
    return violate(who + std::to_string(item.sealed_blocks.size()) + " sealed blocks, not " +
                   std::to_string(n_sealed));
  }
  if (std::ssize(item.hot_blocks) != n_blocks - n_sealed ||
      item.hot_first.size() != item.hot_blocks.size()) {
    return violate(who + std::to_string(item.hot_blocks.size()) + " hot blocks, not " +
                   std::to_string(n_blocks - n_sealed));
  }
  for (size_t i = 0; i < item.hot_first.size(); ++i) {
    const int64_t start = static_cast<int64_t>(i) * kv.block_tokens;
    const int64_t expected = start < kv.sink_tokens ? start : start + n_sealed * kv.block_tokens;
    if (item.hot_first[i] != expected) return violate(who + "hot blocks at wrong positions");
  }
  uint64_t chain = kEmptyChain;
  for (int64_t position = 0; position < item.first; ++position) {
    const Slot* slot = slot_of(item, position);
    if (slot == nullptr) return;
    if (slot->position != position || slot->chain != extend_chain(chain, slot->token)) {
      return violate(who + "position " + std::to_string(position) + " holds position " +
                     std::to_string(slot->position) + " of another prefix");
    }
    chain = slot->chain;
  }
}

uint64_t FakeRunner::append(const engine::StepItem& item) {
  uint64_t chain = kEmptyChain;
  if (item.first > 0) {
    const Slot* last = slot_of(item, item.first - 1);
    if (last != nullptr) chain = last->chain;
  }
  for (size_t i = 0; i < item.tokens.size(); ++i) {
    chain = extend_chain(chain, item.tokens[i]);
    Slot* slot = slot_of(item, item.first + static_cast<int64_t>(i));
    if (slot != nullptr) {
      *slot = {.token = item.tokens[i],
               .position = item.first + static_cast<int32_t>(i),
               .chain = chain};
    }
  }
  return chain;
}

}  // namespace tq::test
