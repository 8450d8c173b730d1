#include "tests/kernels/mirrored.h"

#include <optional>
#include <utility>

#include "kernels/batch_check.h"
#include "kernels/cpu/host_memory.h"
#include "tests/kernels/regions.h"

namespace tq::kernels::test {
namespace {

class Mirrored final : public PagedAttention {
 public:
  explicit Mirrored(std::unique_ptr<DeviceAttention> device) : device_(std::move(device)) {}

  std::string_view name() const noexcept override { return device_->name(); }
  const quant::BlockLayout& layout() const noexcept override { return device_->layout(); }

  Result<KvArena> allocate(PoolSizes sizes) override {
    TQ_ASSIGN(KvArena there, device_->allocate(sizes));
    there_.emplace(std::move(there));
    return allocate_arena(layout(), sizes, cpu::map_region);
  }

  Result<const AttnPlan*> plan(const PagedBatch& batch, const KvArena& arena) override {
    TQ_TRY(check_arena(layout(), &arena));
    return device_->plan(batch, *there_);
  }

  Result<void> append(const AppendCall& call) override {
    TQ_TRY(check_arena(layout(), call.arena));
    TQ_TRY(to_device(*call.arena));
    TQ_ASSIGN(const KvArena::Region k, rows_on_device(call.k));
    TQ_ASSIGN(const KvArena::Region v, rows_on_device(call.v));
    AppendCall there = call;
    there.arena = &*there_;
    there.k = {reinterpret_cast<const float*>(k.get()), call.k.size()};
    there.v = {reinterpret_cast<const float*>(v.get()), call.v.size()};
    TQ_TRY(device_->append(there));
    return from_device(*call.arena);
  }

  Result<void> seal(const SealCall& call) override {
    TQ_TRY(check_arena(layout(), call.arena));
    TQ_TRY(to_device(*call.arena));
    SealCall there = call;
    there.arena = &*there_;
    TQ_TRY(device_->seal(there));
    TQ_TRY(device_->wait());
    return from_device(*call.arena);
  }

  Result<void> attend(const AttendCall& call) override {
    TQ_TRY(check_arena(layout(), call.arena));
    if (call.key_bias != nullptr) TQ_TRY(device_->upload(*call.key_bias));
    TQ_TRY(to_device(*call.arena));
    TQ_ASSIGN(const KvArena::Region q, rows_on_device(call.q));
    TQ_ASSIGN(const KvArena::Region out, rows_on_device(std::span<const float>(call.out)));
    AttendCall there = call;
    there.arena = &*there_;
    there.q = {reinterpret_cast<const float*>(q.get()), call.q.size()};
    there.out = {reinterpret_cast<float*>(out.get()), call.out.size()};
    TQ_TRY(device_->attend(there));
    TQ_TRY(device_->read(std::as_writable_bytes(call.out), out.get()));
    return from_device(*call.arena);
  }

 private:
  Result<KvArena::Region> rows_on_device(std::span<const float> rows) {
    TQ_ASSIGN(KvArena::Region region, device_->allocate_bytes("rows", rows.size_bytes()));
    TQ_TRY(device_->write(region.get(), std::as_bytes(rows)));
    return Result<KvArena::Region>(std::move(region));
  }

  // use(bytes here, the same there, their number) for each region of the store.
  template <class Use>
  Result<void> each_region(const KvArena& here, Use use) {
    for (const Region region : kRegions) {
      const std::span<std::byte> bytes = bytes_of(here, region);
      if (!bytes.empty()) {
        TQ_TRY(use(bytes.data(), bytes_of(*there_, region).data(), bytes.size()));
      }
    }
    return {};
  }
  Result<void> to_device(const KvArena& here) {
    return each_region(here, [&](std::byte* from, std::byte* to, uint64_t n) {
      return device_->write(to, {from, n});
    });
  }
  Result<void> from_device(const KvArena& here) {
    return each_region(here, [&](std::byte* to, std::byte* from, uint64_t n) {
      return device_->read({to, n}, from);
    });
  }

  std::unique_ptr<DeviceAttention> device_;
  std::optional<KvArena> there_;
};

}  // namespace

std::unique_ptr<PagedAttention> mirror(std::unique_ptr<DeviceAttention> device) {
  return std::make_unique<Mirrored>(std::move(device));
}

}  // namespace tq::kernels::test
